import { serveTools, type ToolResult, type ToolServer } from '@agentgate/client';
import { canonical } from '@agentgate/evidence';
import type { SuiteTool } from './data.ts';

/** A call as it is recorded, and what the tool answers. */
export interface Expected {
  tool: string;
  args: Record<string, unknown>;
  result: ToolResult;
}

/** A tool server that knows no tool's work, only what it answered when it was recorded. */
export interface RecordedServer {
  /** Runs `call` while the answer is due; resolves with what it gave and whether the tool was reached. */
  during<T>(expected: Expected, call: () => Promise<T>): Promise<{ reply: T; ran: boolean }>;
  close(): Promise<void>;
}

export const startRecordedServer = async (opts: {
  servers: string;
  creds: string;
  suite: string;
  tools: readonly SuiteTool[];
}): Promise<RecordedServer> => {
  const answers = createAnswers();
  const server: ToolServer = await serveTools({
    servers: opts.servers,
    creds: opts.creds,
    server: opts.suite,
    tools: opts.tools.map(({ name, description, parameters }) => ({
      name,
      description,
      inputSchema: parameters,
      handler: (args) => answers.take(name, args),
    })),
  });
  return { during: answers.during, close: () => server.close() };
};

/**
 * The gate tells a tool server nothing of who calls: tool and arguments say whose answer is due. Where several wait for the
 * same, they take turns.
 */
const createAnswers = () => {
  const due = new Map<string, { result: ToolResult; ran: boolean }>();
  const turns = new Map<string, Promise<unknown>>();
  const keyOf = (tool: string, args: unknown) => `${tool} ${canonical(args)}`;
  const one = async <T>(key: string, result: ToolResult, call: () => Promise<T>) => {
    const current = { result, ran: false };
    due.set(key, current);
    try {
      return { reply: await call(), ran: current.ran };
    } finally {
      due.delete(key);
    }
  };
  return {
    take: (tool: string, args: unknown): ToolResult => {
      const current = due.get(keyOf(tool, args));
      if (!current || current.ran) throw new Error(`${tool} was reached, and nobody called it`);
      current.ran = true;
      return current.result;
    },
    during: <T>({ tool, args, result }: Expected, call: () => Promise<T>) => {
      const key = keyOf(tool, args);
      const turn = (turns.get(key) ?? Promise.resolve()).then(() => one(key, result, call));
      const over = turn.catch(() => {}).finally(() => turns.get(key) === over && turns.delete(key));
      turns.set(key, over);
      return turn;
    },
  };
};
