import type { Bucket } from './bucket.ts';
import { WrongRevision } from './durable.ts';
import type { Follower } from './follow.ts';

export interface HeldRecord<T> {
  record: T;
  revision: number;
}

export interface RecordsOptions<T> {
  keyOf(record: T): string;
  /** Throws where a value cannot be read; undefined for one that is no such record but has a right to its key. */
  parse(value: unknown): T | undefined;
  /** Seconds after which the record goes by itself; for ever where undefined. */
  keptS(record: T): number | undefined;
  writeMs: number;
  /** What is thrown in place of a failure of the bucket. */
  failure?(cause: unknown): Error;
}

/** Records in a bucket, each under its own key, by compare-and-set: whoever writes second is told `conflict`. */
export interface BucketRecords<T> {
  /** For a key that nothing was ever written under, or of which everything went by itself. */
  create(record: T): Promise<number | 'conflict'>;
  update(record: T, revision: number): Promise<number | 'conflict'>;
  read(key: string): Promise<HeldRecord<T> | undefined>;
  /** Keeps an index up with the bucket; resolves when the index has everything that stood there. */
  feed(index: RecordIndex<T>, onUnreadable: (error: unknown, key: string) => void): Promise<Follower>;
}

/** It may be told again, and later, of what it knows already: revisions say what is newer. */
export interface RecordIndex<T> {
  put(held: HeldRecord<T>): void;
  drop(key: string, revision: number): void;
}

/** Somebody else's write is an answer; anything else is a failure of the bucket. */
export const compared = async (
  write: Promise<number>,
  failure: (cause: unknown) => unknown = (cause) => cause,
): Promise<number | 'conflict'> => {
  try {
    return await write;
  } catch (error) {
    if (error instanceof WrongRevision) return 'conflict';
    throw failure(error);
  }
};

export const createRecords = <T>(bucket: Bucket, opts: RecordsOptions<T>): BucketRecords<T> => {
  const failure = opts.failure ?? ((cause: unknown) => cause);
  const heldIn = (value: Uint8Array, revision: number): HeldRecord<T> | undefined => {
    const record = opts.parse(JSON.parse(new TextDecoder().decode(value)));
    return record === undefined ? undefined : { record, revision };
  };
  const update = (record: T, revision: number) =>
    compared(
      bucket.update(opts.keyOf(record), JSON.stringify(record), revision, {
        keptS: opts.keptS(record),
        timeoutMs: opts.writeMs,
      }),
      failure,
    );
  return {
    create: (record) => update(record, 0),
    update,
    read: async (key) => {
      try {
        const entry = await bucket.get(key);
        return entry?.operation === 'PUT' ? heldIn(entry.value, entry.revision) : undefined;
      } catch (error) {
        throw failure(error);
      }
    },
    feed: (index, onUnreadable) =>
      bucket.watch(({ key, value, revision, operation }) => {
        if (operation !== 'PUT') return index.drop(key, revision);
        try {
          const held = heldIn(value, revision);
          if (held) index.put(held);
        } catch (error) {
          onUnreadable(error, key);
        }
      }),
  };
};
