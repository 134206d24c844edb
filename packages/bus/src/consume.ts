import type { ConsumerMessages, JetStreamClient } from '@nats-io/jetstream';
import type { Log } from './log.ts';

export interface ConsumedMessage {
  subject: string;
  seq: number;
  data: Uint8Array;
  redelivered: boolean;
  /** Nobody confirms it: where it gets lost, the message comes again. */
  ack(): void;
  nak(delayMs: number): void;
}
/** Messages gather for `ms` after the first of them, or until together they weigh `until`. */
export interface Linger {
  ms: number;
  weigh(message: ConsumedMessage): number;
  until: number;
}
export interface Consumption {
  close(): Promise<void>;
}

const reopenMs = 500;

/**
 * Takes messages of a durable consumer that the provisioner made. At most `maxMessages` are on their way; all that arrive while a
 * handler runs are handed on together, and all that gather within the `linger`. A handler's throw leaves its messages unacknowledged: they come again.
 */
export const consume = (
  js: JetStreamClient,
  log: Log,
  stream: string,
  durable: string,
  opts: { maxMessages: number; linger?: Linger; onMessages: (messages: ConsumedMessage[]) => Promise<void> },
): Consumption => {
  let closed = false;
  let messages: ConsumerMessages | undefined;
  let waiting: ConsumedMessage[] = [];
  let weight = 0;
  let wake: () => void = () => {};
  let enough: () => void = () => {};

  const gather = ({ ms, until }: Linger) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      enough = () => {
        clearTimeout(timer);
        resolve();
      };
      if (weight >= until) enough();
    });
  const work = async () => {
    while (!closed) {
      if (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      if (opts.linger) await gather(opts.linger);
      const batch = waiting;
      waiting = [];
      weight = 0;
      await opts
        .onMessages(batch)
        .catch((error: unknown) => log.error({ err: error, stream }, 'consumed messages could not be taken'));
    }
  };
  const read = async () => {
    while (!closed) {
      try {
        const consumer = await js.consumers.get(stream, durable);
        messages = await consumer.consume({
          max_messages: opts.maxMessages,
          expires: 5_000,
          idle_heartbeat: 1_000,
          callback: (m) => {
            const message: ConsumedMessage = {
              subject: m.subject,
              seq: m.seq,
              data: m.data,
              redelivered: m.redelivered,
              ack: () => m.ack(),
              nak: (delayMs) => m.nak(delayMs),
            };
            waiting.push(message);
            wake();
            if (!opts.linger) return;
            weight += opts.linger.weigh(message);
            if (weight >= opts.linger.until) enough();
          },
        });
        await messages.closed();
      } catch (error) {
        log.warn({ err: error, stream, durable }, 'a consumer does not answer; trying again');
      }
      if (!closed) await new Promise((resolve) => setTimeout(resolve, reopenMs));
    }
  };
  const working = work();
  const reading = read();
  return {
    close: async () => {
      closed = true;
      wake();
      enough();
      await messages?.close().catch(() => {});
      await Promise.all([working, reading]);
    },
  };
};
