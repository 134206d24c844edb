import type { EventData, EventDraft } from '@agentgate/contracts';

export interface UnreportedAnomaly extends EventData<'evidence.anomaly'> {
  row: number;
  tenant?: string | undefined;
  agent?: string | undefined;
  session?: string | undefined;
}

/** The anomalies on disk that no event tells of yet. */
export interface AnomalyBook {
  unreported(limit: number): UnreportedAnomaly[];
  setReported(row: number, event: string): void;
}

export interface AnomalyReporter {
  /** Tells of what is not told yet. Resolves when that is done, or when it failed: the next call goes on. */
  report(): Promise<void>;
}

const atATime = 16;

/**
 * Turns anomalies into events of audit's own. They are on disk first, so none is forgotten when NATS is away or audit is killed;
 * killed between the event and its note on disk, it tells twice.
 */
export const createAnomalyReporter = (
  book: AnomalyBook,
  record: (draft: EventDraft<'evidence.anomaly'>) => Promise<string>,
): AnomalyReporter => {
  let running: Promise<void> | undefined;
  const run = async () => {
    for (let rows = book.unreported(atATime); rows.length > 0; rows = book.unreported(atATime)) {
      for (const { row, kind, about, detail, tenant, agent, session } of rows) {
        const who = { ...(tenant && { tenant }), ...(agent && { agent }), ...(session && { session }) };
        book.setReported(
          row,
          await record({ name: 'evidence.anomaly', subject: about, ...who, data: { kind, about, detail } }),
        );
      }
    }
  };
  return {
    report: () => {
      running ??= run().finally(() => {
        running = undefined;
      });
      return running;
    },
  };
};
