import {
  name as nameSchema,
  type ToolCallAnswer,
  type ToolCallAsk,
  toolCallAsk,
  toolCancel,
  toolListAnswer,
  toolListAsk,
  toolSubject,
} from '@agentgate/contracts';
import { connectAs } from './connection.ts';

/** What a tool gives back: an MCP result, or a text that becomes one. */
export type ToolResult =
  | string
  | { content: Record<string, unknown>[]; structuredContent?: Record<string, unknown>; isError?: boolean };

export interface ToolContext {
  /** Aborts when the call is cancelled or its deadline passes. A handler that then rejects has stopped; one that goes on is not believed to have. */
  signal: AbortSignal;
  /** The call's id. */
  call: string;
  /** What the gate injects for this call alone, where agentgate.yaml says so. */
  credential: Record<string, string>;
}
export interface Tool {
  name: string;
  description: string;
  /** JSON Schema of the arguments; the gate checks them before they get here. */
  inputSchema: Record<string, unknown>;
  annotations?: Record<string, unknown>;
  handler(args: Record<string, unknown>, context: ToolContext): ToolResult | Promise<ToolResult>;
}
export interface ServeToolsOptions {
  /** nats://host:port */
  servers: string;
  /** The text of a credentials file of a tool server, or its path. */
  creds: string;
  /** The last word of the subject in agentgate.yaml, `tool.v1.<server>`. */
  server: string;
  tools: readonly Tool[];
}
export interface ToolServer {
  close(): Promise<void>;
}

/** A cancellation may overtake its call, which then must not start. */
const earlyMs = 30_000;
const maxEarly = 10_000;

/** Serves tools to the gate. Several processes may serve the same; each call goes to one of them. */
export const serveTools = async ({ servers, creds, server, tools }: ServeToolsOptions): Promise<ToolServer> => {
  const subject = toolSubject(nameSchema.parse(server));
  const { bus } = await connectAs({ servers, creds }, 'tools');
  const calls = createCalls(new Map(tools.map((tool) => [tool.name, tool])));
  const listing = tools.map(({ name: tool, description, inputSchema, annotations }) => ({
    name: tool,
    description,
    input_schema: inputSchema,
    ...(annotations ? { annotations } : {}),
  }));
  // The gate's own services are named in contracts; a tool server is outside of them, so its parts are put together here.
  bus.serveLate({ subject: `${subject}.call`, ask: toolCallAsk, of: 'tool-runner' }, calls.run);
  bus.serve(
    {
      kind: 'request',
      subject: `${subject}.list`,
      ask: toolListAsk,
      answer: toolListAnswer,
      by: ['tool-runner'],
      of: 'tool-runner',
      timeoutMs: 0,
    },
    async () => ({ v: 1 as const, tools: listing }),
  );
  // Not in a queue group: whichever process has the call must hear it.
  bus.hear(
    { kind: 'notice', subject: `${subject}.cancel`, body: toolCancel, by: ['tool-runner'], of: ['tool-runner'] },
    (told) => {
      calls.cancel(told.calls);
    },
  );
  await bus.flush();
  return {
    close: async () => {
      calls.cancelAll();
      await bus.drain();
    },
  };
};

const cancelled: ToolCallAnswer = { status: 'cancelled', result: null };
const failed = (text: string): ToolCallAnswer => ({
  status: 'tool_error',
  result: { content: [{ type: 'text', text }] },
});

const createCalls = (tools: ReadonlyMap<string, Tool>) => {
  const running = new Map<string, AbortController>();
  const early = new Map<string, number>();
  const run = async ({ call, tool, arguments: args, deadline, credential }: ToolCallAsk): Promise<ToolCallAnswer> => {
    const known = tools.get(tool);
    if (!known) return failed(`there is no tool ${tool} here`);
    if (Date.now() - (early.get(call) ?? Number.NEGATIVE_INFINITY) <= earlyMs || Date.now() >= deadline)
      return cancelled;
    const stop = new AbortController();
    running.set(call, stop);
    const timer = setTimeout(() => stop.abort(new Error('the deadline of the call has passed')), deadline - Date.now());
    try {
      const result = await known.handler(args, { signal: stop.signal, call, credential: credential ?? {} });
      return typeof result === 'string'
        ? { status: 'ok', result: { content: [{ type: 'text', text: result }] } }
        : { status: result.isError === true ? 'tool_error' : 'ok', result };
    } catch (error) {
      if (stop.signal.aborted) return cancelled;
      return failed(error instanceof Error ? error.message : 'the tool failed');
    } finally {
      clearTimeout(timer);
      running.delete(call);
    }
  };
  return {
    run,
    cancel: (calls: readonly string[]): void => {
      // One for all: a kill may end thousands, and an error takes as long to make as the rest of it.
      const reason = new Error('the call was cancelled');
      for (const call of calls) {
        const stop = running.get(call);
        if (stop) stop.abort(reason);
        else early.set(call, Date.now());
      }
      for (const oldest of early.keys()) {
        if (early.size <= maxEarly) break;
        early.delete(oldest);
      }
    },
    cancelAll: () => {
      for (const stop of running.values()) stop.abort(new Error('the tool server stops'));
    },
  };
};
