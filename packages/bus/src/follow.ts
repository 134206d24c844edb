import { AgentGateError } from '@agentgate/contracts';
import {
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
} from '@nats-io/jetstream';
import type { Log } from './log.ts';

export interface StreamMessage {
  readonly subject: string;
  readonly seq: number;
  /** RFC 3339. */
  readonly time: string;
  readonly data: Uint8Array;
  header(name: string): string | undefined;
}
export interface Follower {
  /** The last sequence that was handed on; all before it were too. */
  lastSeq(): number;
  /** Messages that the server has not sent yet, or that did not arrive: what goes into a connection that breaks is sent all the same. */
  pending(): Promise<number>;
  close(): Promise<void>;
}
export type FollowOptions = {
  /** First sequence; default the first that there is. */
  from?: number;
  /** Messages are handed on in order, one after the other. A throw is logged and stops nothing. */
  onMessage(message: StreamMessage): void;
} & (
  | {
      subjects?: never;
      /** `false`: resolves at once, however much there is to catch up with. */
      wait?: false;
    }
  /** The stream's end may be of another subject, so it cannot be waited for. */
  | { subjects: readonly string[]; wait: false }
);

/** A consumer that was deleted, or a stream made anew, goes silent without an error: so the leader is asked now and then. */
const watchdogMs = 2_000;
const catchUpMs = 30_000;

/** Follows a stream from its start and on. Resolves once everything that stood in it at the start was handed on. */
export const follow = async (
  js: JetStreamClient,
  jsm: JetStreamManager,
  log: Log,
  stream: string,
  opts: FollowOptions,
): Promise<Follower> => {
  let last = (opts.from ?? 1) - 1;
  let closed = false;
  let consumer: Consumer | undefined;
  let messages: ConsumerMessages | undefined;
  /** The last message that arrived, as the consumer counts them. */
  let arrived: JsMsg['info'] | undefined;
  let caughtUp: () => void = () => {};
  const ready = new Promise<void>((resolve) => {
    caughtUp = resolve;
  });
  const start = await leaderState(jsm, stream);
  const goal = start.messages === 0 ? 0 : start.lastSeq;
  const handOn = (m: JsMsg) => {
    arrived = m.info;
    if (m.seq <= last) return;
    last = m.seq;
    try {
      opts.onMessage(new Followed(m));
    } catch (error) {
      log.error({ err: error, stream, seq: m.seq }, 'a followed message could not be taken');
    }
    if (last >= goal) caughtUp();
  };
  const open = async () => {
    consumer = await js.consumers.get(stream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: last + 1,
      ...(opts.subjects && { filter_subjects: [...opts.subjects] }),
    });
    messages = await consumer.consume({ callback: handOn, max_messages: 1000, idle_heartbeat: 1_000, expires: 5_000 });
  };
  const reopen = async () => {
    await messages?.close().catch(() => {});
    await open();
  };
  const pending = async () => {
    const info = await consumer?.info();
    if (!info) return 0;
    const { num_pending, delivered, name } = info;
    const lost = delivered.consumer_seq - (arrived?.consumer === name ? arrived.deliverySequence : 0);
    return num_pending + Math.max(0, lost);
  };
  /** Of some subjects it is the consumer that knows; one that is gone has not sent what comes. */
  const isBehind = async () => {
    if (opts.subjects)
      return pending().then(
        (left) => left > 0,
        () => true,
      );
    const state = await leaderState(jsm, stream);
    return state.messages > 0 && state.lastSeq > last;
  };
  await open();
  if (goal <= last) caughtUp();

  let behindBefore = -1;
  const watchdog = setInterval(() => {
    isBehind()
      .then(async (behind) => {
        if (closed) return;
        const stuck = behind && behindBefore === last;
        behindBefore = behind ? last : -1;
        if (stuck) await reopen();
      })
      .catch((error: unknown) => log.warn({ err: error, stream }, 'a followed stream does not answer'));
  }, watchdogMs);
  if (opts.wait !== false) {
    const late = setTimeout(() => caughtUp(), catchUpMs);
    await ready;
    clearTimeout(late);
  }
  if (opts.wait !== false && last < goal) {
    clearInterval(watchdog);
    await messages?.close().catch(() => {});
    throw new AgentGateError('INTERNAL', `stream ${stream} could not be read to its end within ${catchUpMs} ms`);
  }
  return {
    lastSeq: () => last,
    pending,
    close: async () => {
      closed = true;
      clearInterval(watchdog);
      await messages?.close().catch(() => {});
    },
  };
};

/** Each part is read when it is asked for: most followers look at the subject alone of most messages. */
class Followed implements StreamMessage {
  readonly #message: JsMsg;

  constructor(message: JsMsg) {
    this.#message = message;
  }

  get subject(): string {
    return this.#message.subject;
  }

  get seq(): number {
    return this.#message.seq;
  }

  get time(): string {
    return this.#message.time.toISOString();
  }

  get data(): Uint8Array {
    return this.#message.data;
  }

  /** A function of its own: it may be taken out of the message. */
  get header(): (name: string) => string | undefined {
    return (name) => this.#message.headers?.get(name) || undefined;
  }
}

const leaderState = async (jsm: JetStreamManager, stream: string) => {
  try {
    const info = await jsm.streams.info(stream);
    return { lastSeq: info.state.last_seq, messages: info.state.messages };
  } catch (cause) {
    throw new AgentGateError('INTERNAL', `stream ${stream} does not answer`, { cause });
  }
};
