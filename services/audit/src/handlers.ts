import type { ConsumedMessage } from '@agentgate/bus';
import type { Taken } from './appender.ts';
import type { Metrics } from './metrics.ts';
import type { Audit } from './service.ts';

export interface HandlerOptions {
  audit: Audit<ConsumedMessage>;
  metrics: Metrics;
  log: { warn(fields: object, message: string): void; error(fields: object, message: string): void };
  /** The log has grown, or an anomaly is to be told. */
  onTaken: () => void;
  /** The disk failed: nothing may be acknowledged any more. */
  die: (error: unknown, message: string) => never;
}

export interface Handlers {
  onMessages(messages: ConsumedMessage[]): Promise<void>;
  tick(): Promise<void>;
  reportOrphans(at: number): void;
}

/** Batches a transaction, so that none holds up the process for long. */
const bunch = 8;

/** Messages in, acknowledgements out: only after the commit. A lost acknowledgement is harmless, the batch comes again as a repeat. */
export const createHandlers = ({ audit, metrics, log, onTaken, die }: HandlerOptions): Handlers => {
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
  const acknowledge = async (settled: ConsumedMessage[]) => {
    const results = await Promise.allSettled(settled.map((message) => message.ack()));
    const failed = results.find((r) => r.status === 'rejected');
    if (failed) log.warn({ err: failed.reason }, 'a batch could not be acknowledged; it comes again');
  };
  return {
    onMessages: async (messages) => {
      for (let i = 0; i < messages.length; i += bunch)
        await acknowledge(commit(() => audit.take(messages.slice(i, i + bunch))));
    },
    tick: () => acknowledge(commit(audit.tick)),
    reportOrphans: (at) => void commit(() => audit.reportOrphans(at)),
  };
};
