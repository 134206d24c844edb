import type { ConsumedMessage } from '@agentgate/bus';
import type { Anomaly } from './anomaly.ts';
import type { Taken } from './appender.ts';
import type { Metrics } from './metrics.ts';
import type { Audit } from './service.ts';

export interface HandlerOptions {
  audit: Audit<ConsumedMessage>;
  /** Resolves once a durable checkpoint covers what was committed. */
  checkpoint: () => Promise<void>;
  metrics: Metrics;
  log: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
  /** An anomaly may be to be told. */
  onTaken: () => void;
  /** The disk failed: nothing may be acknowledged any more. */
  die: (error: unknown, message: string) => never;
}

export interface Handlers {
  onMessages(messages: ConsumedMessage[]): Promise<void>;
  tick(): Promise<void>;
  /** To be called when everything that had been published by `at` was taken. */
  onCaughtUp(at: number): void;
  report(anomaly: Anomaly): void;
}

/** Events a transaction and checkpoint, so that none holds up the process or fills its memory: as many as one batch may have. */
export const bunchEvents = 512;

/**
 * Messages in, acknowledgements out: only after a checkpoint covers them. A lost acknowledgement is harmless, the batch comes again as a
 * repeat.
 */
export const createHandlers = ({ audit, checkpoint, metrics, log, onTaken, die }: HandlerOptions): Handlers => {
  const commit = (take: () => Taken<ConsumedMessage>): ConsumedMessage[] => {
    const started = performance.now();
    let taken: Taken<ConsumedMessage>;
    try {
      taken = take();
    } catch (error) {
      return die(error, 'the evidence log could not be written');
    }
    metrics.commitMs.observe(performance.now() - started);
    for (const { kind, about, detail } of taken.anomalies) {
      metrics.anomalies.inc({ kind });
      log.error({ kind, about, detail }, 'evidence anomaly');
    }
    if (taken.appended > 0 || taken.anomalies.length > 0) onTaken();
    return taken.settled;
  };
  const settle = async (settled: ConsumedMessage[]) => {
    const started = performance.now();
    await checkpoint();
    metrics.checkpointMs.observe(performance.now() - started);
    try {
      for (const message of settled) message.ack();
    } catch (error) {
      log.warn({ err: error }, 'batches could not be acknowledged; they come again');
    }
  };
  return {
    onMessages: async (messages) => {
      for (const bunch of bunches(messages)) await settle(commit(() => audit.take(bunch)));
    },
    tick: () => settle(commit(audit.tick)),
    report: (anomaly) => void commit(() => audit.report(anomaly)),
    onCaughtUp: (at) => {
      commit(() => audit.reportOrphans(at));
      commit(audit.reportSilent);
    },
  };
};

const sizeIn = /"size":([0-9]{1,5}),/;
const headBytes = 1_024;
/** How many events a batch says that it holds, before anything of it is verified: good enough to choose a moment by. */
export const eventsIn = ({ data }: Pick<ConsumedMessage, 'data'>): number =>
  Number(
    sizeIn.exec(Buffer.from(data.buffer, data.byteOffset, Math.min(data.length, headBytes)).toString('latin1'))?.[1] ??
      1,
  );

const bunches = (messages: readonly ConsumedMessage[]): ConsumedMessage[][] => {
  const all: ConsumedMessage[][] = [];
  let events = bunchEvents;
  for (const message of messages) {
    if (events >= bunchEvents) {
      all.push([]);
      events = 0;
    }
    all.at(-1)?.push(message);
    events += eventsIn(message);
  }
  return all;
};
