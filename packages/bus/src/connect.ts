import {
  AgentGateError,
  type BatchContract,
  type BroadcastContract,
  inboxOf,
  lateInboxOf,
  type NoticeContract,
  type RequestContract,
  type ToolCallAnswer,
  type ToolCallAsk,
  toolCallAnswer,
} from '@agentgate/contracts';
import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import {
  type Authenticator,
  AuthorizationError,
  connect,
  credsAuthenticator,
  jwtAuthenticator,
  type NatsConnection,
} from '@nats-io/transport-node';
import { type Batched, type Batcher, createBatcher, serveBatch, serveLate } from './batch.ts';
import { bearerIn } from './bearer.ts';
import { broadcast, type Gather, hear, notify, serveBroadcast } from './broadcast.ts';
import { type Bucket, openBucket } from './bucket.ts';
import { type ConsumedMessage, type Consumption, consume, type Linger } from './consume.ts';
import { type Core, createAfterPoll } from './core.ts';
import { type PubAck, type PublishOptions, publishDurable, publishRun, type RunMessage } from './durable.ts';
import { type Follower, type FollowOptions, follow, type StreamMessage } from './follow.ts';
import { type Log, silent } from './log.ts';
import { answerMicro, type MicroInfo } from './micro.ts';
import { createMux, type Mux } from './mux.ts';
import { type Objects, openObjects } from './objects.ts';
import { type AskInfo, type AskOptions, ask, exchange, serve, serveRaw } from './request.ts';

export interface BusOptions {
  servers: string;
  /** The text of a NATS credentials file, or a bearer token: a user's JWT that NATS takes without its key. */
  creds: string;
  /** The user's own name: its inbox is `_INBOX_<user>`. */
  user: string;
  instance: string;
  log?: Log;
  /** Milliseconds to wait for the first connection. */
  timeoutMs?: number;
}

export interface StreamInfo {
  config: Record<string, unknown>;
  lastSeq: number;
  firstSeq: number;
  messages: number;
  created: string;
}

/** One connection to NATS and everything that our services and clients do on it. */
export interface Bus {
  readonly user: string;
  readonly instance: string;
  ask<A, B>(contract: RequestContract<A, B>, body: A, opts?: AskOptions): Promise<B>;
  /** One request with bytes of the caller's own; for clients outside, whose answers have their own forms. */
  requestRaw(subject: string, body: Uint8Array | string, opts: { of: string; timeoutMs: number }): Promise<Uint8Array>;
  serve<A, B>(contract: RequestContract<A, B>, handler: (ask: A, info: AskInfo) => Promise<B>): void;
  serveRaw<A, B>(contract: RequestContract<A, B>, handler: (body: Uint8Array, info: AskInfo) => Promise<unknown>): void;
  batcher<A, B>(contract: BatchContract<A, B>, opts?: { inFlight?: number }): Batcher<A, B>;
  /** As `batcher`, for a tool server on NATS: `subject` is the one of its configuration. */
  toolBatcher(subject: string, opts?: { inFlight?: number; timeoutMs?: number }): Batcher<ToolCallAsk, ToolCallAnswer>;
  serveBatch<A, B>(contract: BatchContract<A, B>, handler: (asks: A[]) => Promise<(B | AgentGateError)[]>): void;
  serveLate<A, B>(contract: Pick<BatchContract<A, B>, 'subject' | 'ask' | 'of'>, handler: (ask: A) => Promise<B>): void;
  broadcast<A, B>(contract: BroadcastContract<A, B>, body: A, opts?: Gather<B>): Promise<B[]>;
  serveBroadcast<A, B>(contract: BroadcastContract<A, B>, handler: (ask: A) => Promise<B>): void;
  notify<B>(contract: NoticeContract<B>, body: B): void;
  hear<B>(contract: NoticeContract<B>, handler: (body: B) => void): void;
  publishDurable(subject: string, body: Uint8Array | string, opts: PublishOptions): Promise<PubAck>;
  /** Resolves once all of them stand in the stream, in this order, right after `lastSeq`; rejects when any does not. */
  publishRun(run: readonly RunMessage[], opts: { lastSeq: number; timeoutMs: number }): Promise<void>;
  follow(stream: string, opts: FollowOptions): Promise<Follower>;
  bucket(name: string): Bucket;
  objects(store: string): Objects;
  consume(
    stream: string,
    durable: string,
    opts: { maxMessages: number; linger?: Linger; onMessages: (messages: ConsumedMessage[]) => Promise<void> },
  ): Consumption;
  streamInfo(name: string): Promise<StreamInfo>;
  /** The subjects that a durable consumer hands out; none where it hands out all. Rejects where there is no such consumer. */
  consumerSubjects(stream: string, durable: string): Promise<readonly string[]>;
  lastMessage(stream: string, subject: string): Promise<Pick<StreamMessage, 'seq' | 'data' | 'header'> | undefined>;
  /** Asks the stream's leader. Undefined where the stream holds no message of that sequence. */
  messageAt(stream: string, seq: number): Promise<Pick<StreamMessage, 'subject' | 'data' | 'header'> | undefined>;
  answerMicro(info: MicroInfo): void;
  server(): { version: string; id: string };
  /** Milliseconds. */
  rtt(): Promise<number>;
  connected(): boolean;
  onState(tell: (state: 'connected' | 'disconnected') => void): void;
  /** All that was published has reached the server. */
  flush(): Promise<void>;
  drain(): Promise<void>;
  close(): Promise<void>;
}

const authenticatorOf = (creds: string): Authenticator => {
  const token = bearerIn(creds);
  return token === undefined ? credsAuthenticator(new TextEncoder().encode(creds)) : jwtAuthenticator(token);
};

const open = async (opts: BusOptions): Promise<NatsConnection> => {
  try {
    return await connect({
      servers: opts.servers,
      authenticator: authenticatorOf(opts.creds),
      name: `${opts.user}/${opts.instance}`,
      inboxPrefix: inboxOf(opts.user),
      timeout: opts.timeoutMs ?? 5_000,
      noAsyncTraces: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 500,
      pingInterval: 5_000,
      maxPingOut: 2,
    });
  } catch (cause) {
    throw new AgentGateError(
      'INTERNAL',
      `NATS at ${opts.servers} did not take user ${opts.user}: ${cause instanceof Error ? cause.message : 'unknown'}`,
      { cause },
    );
  }
};

/** Whether `connectBus` failed because the server does not take these credentials: they are forged, expired, revoked, or not known to it. */
export const areRefused = (error: unknown): boolean =>
  error instanceof AgentGateError && error.cause instanceof AuthorizationError;

export const connectBus = async (opts: BusOptions): Promise<Bus> => {
  const log = opts.log ?? silent;
  const nc = await open(opts);
  const muxes: Mux[] = [];
  const newMux = (prefix: string) => {
    const mux = createMux(nc, prefix);
    muxes.push(mux);
    return mux;
  };
  let isConnected = true;
  const listeners: ((state: 'connected' | 'disconnected') => void)[] = [];
  const become = (now: boolean) => {
    if (isConnected === now) return;
    isConnected = now;
    if (!now) for (const mux of muxes) mux.disconnected();
    for (const tell of listeners) tell(now ? 'connected' : 'disconnected');
  };
  const core: Core = {
    nc,
    user: opts.user,
    instance: opts.instance,
    log,
    mux: newMux(`${inboxOf(opts.user)}.a`),
    lateMux: (subject) => newMux(lateInboxOf(opts.user, subject)),
    connected: () => isConnected,
    afterPoll: createAfterPoll(),
    stats: { requests: 0, errors: 0 },
  };
  const watch = async () => {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') become(false);
      else if (status.type === 'reconnect') become(true);
      else if (status.type === 'error') log.warn({ err: status.error }, 'NATS reports an error');
    }
  };
  watch().catch((error: unknown) => log.error({ err: error }, 'the connection to NATS cannot be watched'));
  nc.closed()
    .then(() => become(false))
    .catch(() => become(false));

  const js = jetstream(nc, { timeout: 3_000 });
  let manager: Promise<JetStreamManager> | undefined;
  const jsm = () => {
    manager ??= jetstreamManager(nc, { timeout: 3_000, checkAPI: false });
    return manager;
  };
  const stored = async (stream: string, query: { seq: number } | { last_by_subj: string }) => {
    const found = await (await jsm()).streams.getMessage(stream, query);
    if (!found) return undefined;
    const { subject, seq, data } = found;
    return { subject, seq, data, header: (name: string) => found.header?.get(name) || undefined };
  };
  return {
    user: opts.user,
    instance: opts.instance,
    ask: (contract, body, more) => ask(core, contract, body, more),
    requestRaw: (subject, body, more) => exchange(core, subject, body, more),
    serve: (contract, handler) => serve(core, contract, handler),
    serveRaw: (contract, handler) => serveRaw(core, contract, handler),
    batcher: (contract, more) => createBatcher(core, contract, more),
    toolBatcher: (subject, { inFlight, timeoutMs = 2_000 } = {}) => {
      const contract: Batched<ToolCallAsk, ToolCallAnswer> = {
        subject: `${subject}.call`,
        of: 'upstream',
        answer: toolCallAnswer,
        items: 64,
        late: true,
        timeoutMs,
      };
      const toolCore: Core = { ...core, lateMux: () => newMux(lateInboxOf(opts.user, 'tool.v1')) };
      return createBatcher(toolCore, contract, { inFlight: inFlight ?? 2 });
    },
    serveBatch: (contract, handler) => serveBatch(core, contract, handler),
    serveLate: (contract, handler) => serveLate(core, contract, handler),
    broadcast: (contract, body, more) => broadcast(core, contract, body, more),
    serveBroadcast: (contract, handler) => serveBroadcast(core, contract, handler),
    notify: (contract, body) => notify(core, contract, body),
    hear: (contract, handler) => hear(core, contract, handler),
    publishDurable: (subject, body, more) => publishDurable(core, subject, body, more),
    publishRun: (run, more) => publishRun(core, run, more),
    follow: async (stream, more) => follow(js, await jsm(), log, stream, more),
    bucket: (name) => lazyBucket(core, js, jsm, name),
    objects: (store) => openObjects(core, js, store),
    consume: (stream, durable, more) => consume(js, log, stream, durable, more),
    streamInfo: async (name) => {
      try {
        const info = await (await jsm()).streams.info(name);
        return {
          config: info.config as unknown as Record<string, unknown>,
          lastSeq: info.state.last_seq,
          firstSeq: info.state.first_seq,
          messages: info.state.messages,
          created: info.created,
        };
      } catch (cause) {
        throw new AgentGateError('INTERNAL', `stream ${name} does not answer`, { cause });
      }
    },
    consumerSubjects: async (stream, durable) => {
      try {
        const { config } = await (await jsm()).consumers.info(stream, durable);
        return config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : []);
      } catch (cause) {
        throw new AgentGateError('INTERNAL', `consumer ${durable} of stream ${stream} does not answer`, { cause });
      }
    },
    lastMessage: (stream, subject) => stored(stream, { last_by_subj: subject }),
    messageAt: (stream, seq) => stored(stream, { seq }),
    answerMicro: (info) => answerMicro(core, info),
    server: () => ({ version: nc.info?.version ?? '', id: nc.info?.server_id ?? '' }),
    rtt: () => nc.rtt(),
    connected: () => isConnected,
    onState: (tell) => void listeners.push(tell),
    flush: () => nc.flush(),
    drain: () => nc.drain(),
    close: () => nc.close(),
  };
};

/** A bucket before its first use needs no answer of the server. */
const lazyBucket = (
  core: Core,
  js: ReturnType<typeof jetstream>,
  jsm: () => Promise<JetStreamManager>,
  name: string,
): Bucket => {
  let bucket: Promise<Bucket> | undefined;
  const opened = () => {
    bucket ??= jsm().then((m) => openBucket(core, js, m, name));
    return bucket;
  };
  return {
    get: async (key) => (await opened()).get(key),
    create: async (key, value) => (await opened()).create(key, value),
    update: async (key, value, revision, more) => (await opened()).update(key, value, revision, more),
    put: async (key, value) => (await opened()).put(key, value),
    purge: async (key) => (await opened()).purge(key),
    watch: async (onEntry) => (await opened()).watch(onEntry),
  };
};
