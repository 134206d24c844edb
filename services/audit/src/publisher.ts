/** An entry of the log, as EVIDENCE gets it. */
export interface LogEntry {
  index: number;
  /** Lowercase hex. */
  leafHash: string;
  text: string;
  tenant: string | null;
  type: string;
}

/** The committed log. */
export interface EntrySource {
  /** The number of entries: the next index. */
  size(): number;
  /** Entries from `index` on, in order, without a hole. */
  entries(index: number, limit: number): LogEntry[];
}

export interface EvidenceStream {
  /** The last entry in the stream, and the stream's last sequence. */
  last(): Promise<{ lastSeq: number; entry?: { index: number; leafHash: string } }>;
  /** Rejects unless all of them follow the stream's `lastSeq` one after the other; one that was lost stops all after it. */
  publish(entries: LogEntry[], lastSeq: number): Promise<void>;
}

/** The stream holds what the log does not: the log was lost or rolled back, or somebody else wrote. Nothing can be appended to that. */
export class LogMismatch extends Error {
  override readonly name = 'LogMismatch';
}

export interface Publisher {
  /** The log has grown. */
  wake(): void;
  /** The connection or the server was away: what the stream has must be asked again. */
  resync(): void;
  /** Entries of the log that the stream is not known to have. */
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
  inFlight?: number;
  retryMs?: number;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * Brings every entry of the log to EVIDENCE, in order and once. The stream itself remembers how far it is: it is asked at boot and after every
 * failure, because it is written without an fsync and may lose its end when its server crashes.
 */
export const createPublisher = ({
  source,
  stream,
  log,
  onMismatch,
  inFlight = 256,
  retryMs = 250,
}: PublisherOptions): Publisher => {
  let position: { next: number; lastSeq: number } | undefined;
  let closed = false;
  let wake: () => void = () => {};
  let stale = true;

  const behind = () => source.size() - (position?.next ?? 0);
  const synchronise = async () => {
    stale = false;
    const { lastSeq, entry } = await stream.last();
    if (entry) {
      const ours = source.entries(entry.index, 1)[0];
      if (!ours || ours.leafHash !== entry.leafHash) {
        throw new LogMismatch(
          `EVIDENCE holds entry ${entry.index} with leaf hash ${entry.leafHash}, and the log ${ours ? 'has another one there' : `has only ${source.size()} entries`}`,
        );
      }
    }
    position = { next: entry ? entry.index + 1 : 0, lastSeq };
  };
  const publishSome = async (from: { next: number; lastSeq: number }) => {
    const entries = source.entries(from.next, inFlight);
    await stream.publish(entries, from.lastSeq);
    position = { next: from.next + entries.length, lastSeq: from.lastSeq + entries.length };
  };
  const work = async () => {
    while (!closed) {
      try {
        if (stale || !position) await synchronise();
        else if (behind() > 0) await publishSome(position);
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
      for (const until = performance.now() + timeoutMs; performance.now() < until && (stale || behind() > 0); )
        await sleep(10);
      closed = true;
      wake();
      await Promise.race([working, sleep(timeoutMs)]);
    },
  };
};
