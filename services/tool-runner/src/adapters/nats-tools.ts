import type { Batcher, Bus } from '@agentgate/bus';
import {
  AgentGateError,
  type Server,
  type ToolCallAnswer,
  type ToolCallAsk,
  toolCancel,
  toolListAnswer,
} from '@agentgate/contracts';
import { fieldOf } from '../credential.ts';
import { createRefresher, pace, type RefresherOptions } from '../refresher.ts';
import type {
  Channel,
  Dispatch,
  LeasedCredential,
  ListedTool,
  Upstream,
  UpstreamCall,
  UpstreamEnd,
} from '../upstream.ts';

export interface NatsToolsOptions {
  server: string;
  nats: NonNullable<Server['nats']>;
  inject: Server['inject'];
  bus: Pick<Bus, 'requestRaw' | 'toolBatcher' | 'notify'>;
  now: () => number;
  log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  pace?: Partial<Omit<RefresherOptions, 'refresh' | 'onFailure'>>;
}

const listMs = 3_000;
const cancelAtOnce = 256;
/** The runner's own deadline comes first. */
const graceMs = 1_000;

/** A tool server on NATS: calls leave in batches, and a cancelled call is confirmed. */
export const createNatsUpstream = (opts: NatsToolsOptions): Upstream => {
  const { server, bus, inject, log } = opts;
  const { subject } = opts.nats;
  const way: Way = {
    batcher: bus.toolBatcher(subject),
    cancel: createCanceller(bus, subject),
    suspect: () => refresher.soon(),
    now: opts.now,
  };
  const listeners: ((tools: ListedTool[]) => void)[] = [];
  let why: string | undefined = 'it was not reached yet';

  const refresher = createRefresher({
    ...pace,
    ...opts.pace,
    refresh: async () => {
      const tools = await list(bus, subject);
      if (why !== undefined) log.info({ server }, 'a tool server is connected');
      why = undefined;
      for (const tell of listeners) tell(tools);
    },
    onFailure: (error) => {
      why = error instanceof Error ? error.message.slice(0, 200) : 'it does not answer';
      log.warn({ server, why }, 'a tool server cannot be reached');
    },
  });
  const problem = () => (why === undefined ? undefined : `${server} cannot be reached: ${why}`);
  const injected = (leased: LeasedCredential): Pick<ToolCallAsk, 'credential'> => {
    const credential = fieldOf(inject, leased.credential);
    return credential ? { credential } : {};
  };
  const channelWith = (credential: Pick<ToolCallAsk, 'credential'>): Channel => ({
    send: (call) => send(way, call, credential),
    release: () => {},
  });
  /** Calls without a credential share it: there is nothing to open for one, and nothing of one to keep. */
  const bare = channelWith({});

  return {
    server,
    problem,
    // A server on NATS does not tell: it is asked each minute.
    relisting: () => undefined,
    onTools: (tell) => void listeners.push(tell),
    prepare: ({ leased }) => {
      const wrong = problem();
      if (wrong !== undefined) throw new AgentGateError('UPSTREAM_UNAVAILABLE', wrong);
      return leased ? channelWith(injected(leased)) : bare;
    },
    // A call's credential went with its message.
    forget: () => {},
    start: () => refresher.start(),
    close: async () => refresher.stop(),
  };
};

const list = async (bus: NatsToolsOptions['bus'], subject: string): Promise<ListedTool[]> => {
  const data = await bus.requestRaw(`${subject}.list`, JSON.stringify({ v: 1 }), {
    of: 'the tool server',
    timeoutMs: listMs,
  });
  const parsed = toolListAnswer.safeParse(JSON.parse(new TextDecoder().decode(data)));
  if (!parsed.success) throw new Error('it listed its tools in another form than agreed');
  return parsed.data.tools.map(({ name, description, input_schema, annotations }) => ({
    name,
    description,
    inputSchema: input_schema,
    annotations: annotations ?? {},
  }));
};

/** What one turn of the event loop ends is told in one message: a kill may end thousands of calls. */
const createCanceller = (bus: NatsToolsOptions['bus'], subject: string): ((call: string) => void) => {
  const contract = {
    kind: 'notice' as const,
    subject: `${subject}.cancel`,
    body: toolCancel,
    by: ['tool-runner' as const],
    of: ['tool-runner' as const],
  };
  let gathered: string[] = [];
  const tell = () => {
    const calls = gathered;
    gathered = [];
    for (let i = 0; i < calls.length; i += cancelAtOnce)
      bus.notify(contract, { v: 1, calls: calls.slice(i, i + cancelAtOnce) });
  };
  return (call) => {
    if (gathered.length === 0) setImmediate(tell);
    gathered.push(call);
  };
};

interface Way {
  batcher: Batcher<ToolCallAsk, ToolCallAnswer>;
  cancel(call: string): void;
  /** The server may be gone. */
  suspect(): void;
  now(): number;
}

/** Mostly it leaves in this turn of the event loop. Under load it waits for its batch, and what is stopped by then is taken back. */
const send = (
  { batcher, cancel, suspect, now }: Way,
  { call, tool, arguments: args, deadline }: UpstreamCall,
  credential: Pick<ToolCallAsk, 'credential'>,
): Dispatch => {
  let isTaken = false;
  let isWithdrawn = false;
  let withdraw = () => false;
  const ended = batcher(
    { call, tool, arguments: args, deadline, ...credential },
    {
      timeoutMs: Math.max(1, deadline - now()) + graceMs,
      onTaken: () => {
        isTaken = true;
      },
      onQueued: (take) => {
        withdraw = take;
      },
    },
  ).then(endOfAnswer, (error: unknown): UpstreamEnd => {
    if (isWithdrawn) return { kind: 'not_sent', code: 'CANCELLED', reason: 'it was stopped before it was handed over' };
    const end = endOfError(error, isTaken);
    if (end.kind === 'not_sent') suspect();
    return end;
  });
  return {
    ended,
    stop: () => {
      isWithdrawn ||= withdraw();
      if (!isWithdrawn) cancel(call);
    },
    abandon: nothing,
  };
};
const nothing = () => {};

const endOfAnswer = ({ status, result }: ToolCallAnswer): UpstreamEnd => {
  switch (status) {
    case 'ok':
      return { kind: 'result', result };
    case 'tool_error':
      return {
        kind: 'result',
        result: typeof result === 'object' && result !== null ? { ...result, isError: true } : result,
      };
    case 'cancelled':
      return { kind: 'stopped' };
    default:
      return status satisfies never;
  }
};

/** In doubt the call may have run. */
const endOfError = (error: unknown, isTaken: boolean): UpstreamEnd => {
  const { code, message } =
    error instanceof AgentGateError ? error : new AgentGateError('INTERNAL', 'the tool server failed');
  if (code === 'FIELD_INVALID' || code === 'MALFORMED') return { kind: 'error', reason: message };
  if (!isTaken && code !== 'OUTCOME_UNKNOWN' && /is not running|cannot be reached|too many requests/.test(message))
    return {
      kind: 'not_sent',
      code: code === 'OVERLOADED' ? code : 'UPSTREAM_UNAVAILABLE',
      reason: 'the tool server cannot be reached',
    };
  return { kind: 'lost', reason: 'the tool server took the call, and its answer did not come' };
};
