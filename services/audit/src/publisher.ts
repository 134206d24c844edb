import type { Published } from './sequencer.ts';

/** An entry of the log, as EVIDENCE gets it. */
export interface LogEntry {
  index: number;
  /** Lowercase hex. */
  leafHash: string;
  /** Its text in UTF-8. */
  body: Uint8Array;
  tenant: string | null;
  type: string;
}

/** The log, as far as it is published. */
export interface EntrySource {
  /** The last checkpoint, a new object each time that it is published; its note is empty before the first. */
  published(): Published;
  /** Entries from `index` on, in order, without a hole: at least one. */
  entries(index: number, limit: number): Promise<LogEntry[]>;
}

export interface EvidenceStream {
  /** The last entry in the stream, and the stream's last sequence. */
  last(): Promise<{ lastSeq: number; entry?: { index: number; leafHash: string } }>;
  /**
   * Publishes entries and, behind them, the checkpoint that ends with them. Resolves with the stream's last sequence; rejects unless all
   * follow `lastSeq` one after the other; one that was lost stops all after it.
   */
  publish(run: { entries: LogEntry[]; note: string | undefined }, lastSeq: number): Promise<number>;
}

/** The stream holds what the log does not: the log was lost or rolled back, or somebody else wrote. Nothing can be appended to that. */
export class LogMismatch extends Error {
  override readonly name = 'LogMismatch';
}

export interface Publisher {
  /** A checkpoint was published. */
  wake(): void;
  /** The connection or the server was away: what the stream has must be asked again. */
  resync(): void;
  /** Published entries that the stream is not known to have. */
  behind(): number;
  /** Publishes what is left, for at most `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}

export interface PublisherOptions {
  source: EntrySource;
  stream: EvidenceStream;
  log: { warn(fields: object, message: string): void };
  /** The log and the stream contradict each other. */
  onMismatch: (error: LogMismatch) => void;
  /** At most so many entries are on their way. */
  inFlight: number;
  retryMs?: number;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * Brings every published entry of the log to EVIDENCE, in order and once, and each checkpoint right behind the last entry that it
 * covers, unless a newer one came meanwhile. The stream itself remembers how far it is: it is asked at boot and after every
 * failure, because it is written without an fsync and may lose its end when its server crashes.
 */
export const createPublisher = ({
  source,
  stream,
  log,
  onMismatch,
  inFlight,
  retryMs = 250,
}: PublisherOptions): Publisher => {
  let position: { next: number; lastSeq: number } | undefined;
  /** The last checkpoint that was sent. */
  let told: Published | undefined;
  let closed = false;
  let wake: () => void = () => {};
  let stale = true;

  const behind = () => source.published().size - (position?.next ?? 0);
  const synchronise = async () => {
    stale = false;
    const { lastSeq, entry } = await stream.last();
    if (entry) {
      const { size } = source.published();
      const ours = entry.index < size ? (await source.entries(entry.index, 1))[0] : undefined;
      if (!ours || ours.leafHash !== entry.leafHash) {
        throw new LogMismatch(
          `EVIDENCE holds entry ${entry.index} with leaf hash ${entry.leafHash}, and the log ${ours ? 'has another one there' : `has only ${size} entries`}`,
        );
      }
    }
    position = { next: entry ? entry.index + 1 : 0, lastSeq };
  };
  const publishSome = async ({ next, lastSeq }: { next: number; lastSeq: number }) => {
    const checkpoint = source.published();
    const { size, note } = checkpoint;
    const entries = next < size ? await source.entries(next, Math.min(inFlight, size - next)) : [];
    const isWhole = next + entries.length === size;
    const last = await stream.publish({ entries, note: isWhole ? note : undefined }, lastSeq);
    if (isWhole) told = checkpoint;
    position = { next: next + entries.length, lastSeq: last };
  };
  const hasMore = () => {
    const checkpoint = source.published();
    return behind() > 0 || (checkpoint !== told && checkpoint.note !== '');
  };
  const work = async () => {
    while (!closed) {
      try {
        if (stale || !position) await synchronise();
        else if (hasMore()) await publishSome(position);
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      } catch (error) {
        if (error instanceof LogMismatch) return onMismatch(error);
        log.warn({ err: error, behind: behind() }, 'EVIDENCE cannot be written; trying again');
        stale = true;
        await sleep(retryMs);
      }
    }
  };
  const working = work();
  return {
    wake: () => wake(),
    resync: () => {
      stale = true;
      wake();
    },
    behind,
    close: async (timeoutMs) => {
      for (const until = performance.now() + timeoutMs; performance.now() < until && (stale || hasMore()); )
        await sleep(10);
      closed = true;
      wake();
      await Promise.race([working, sleep(timeoutMs)]);
    },
  };
};
