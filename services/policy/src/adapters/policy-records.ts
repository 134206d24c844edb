import { type Bucket, type BucketEntry, type Bus, type Follower, WrongRevision } from '@agentgate/bus';
import {
  type ActiveRecord,
  activeRecord,
  askedRecord,
  type BundleRecord,
  buckets,
  bundleKey,
  bundleRecord,
  type ExceptionsRecord,
  exceptionAskedRecord,
  exceptionsRecord,
  parseField,
  policyBucket,
  type ShadowRecord,
  shadowRecord,
  turnRecord,
} from '@agentgate/contracts';
import type { z } from 'zod';
import type { ExceptionRecords, PolicyRecords, ShadowRecords } from '../ports.ts';

interface Log {
  error(fields: object, message: string): void;
}

export interface PolicyRecordsOptions {
  log: Log;
  onActive(): void;
  onExceptions(record: ExceptionsRecord, revision: number): void;
  onShadow(record: ShadowRecord): void;
}

const decode = <T>(schema: z.ZodType<T>, bytes: Uint8Array): T =>
  parseField(schema, JSON.parse(Buffer.from(bytes).toString('utf8')));

/** What was activated and pushed, in bucket POLICY. Every change is a compare-and-set. */
export const openPolicyRecords = async (
  bus: Pick<Bus, 'bucket' | 'lastMessage'>,
  { log, onActive, onExceptions, onShadow }: PolicyRecordsOptions,
): Promise<PolicyRecords & ExceptionRecords & ShadowRecords & { close(): Promise<void> }> => {
  const bucket = bus.bucket(buckets.policy);
  const activations = new Map<number, ActiveRecord>();
  const bundles = new Map<number, BundleRecord>();
  const take = ({ key, value, revision }: BucketEntry) => {
    if (key === 'active') {
      activations.set(revision, decode(activeRecord, value));
      onActive();
    } else if (key.startsWith('bundle.')) {
      const record = decode(bundleRecord, value);
      bundles.set(record.version, record);
    } else if (key === 'exceptions') onExceptions(decode(exceptionsRecord, value), revision);
    else if (key === 'shadow') onShadow(decode(shadowRecord, value));
  };
  const follower: Follower = await bucket.watch((entry) => {
    try {
      if (entry.operation === 'PUT') take(entry);
    } catch (error) {
      log.error({ err: error, key: entry.key }, 'a record cannot be read and counts as absent');
    }
  });
  return {
    active: async () => {
      const found = await bus.lastMessage(policyBucket.name, `$KV.${buckets.policy}.active`);
      return found ? { epoch: found.seq, record: decode(activeRecord, found.data) } : { epoch: 0 };
    },
    activate: async (record, epoch) => orUndefined(() => bucket.update('active', JSON.stringify(record), epoch)),
    addBundle: async (record) => {
      const text = JSON.stringify(record);
      return (await orUndefined(() => bucket.create(bundleKey(record.version), text))) !== undefined;
    },
    bundle: async (version) => (await read(bucket, bundleKey(version), bundleRecord))?.value,
    turn: () => read(bucket, 'turn', turnRecord),
    takeTurn: (record, revision) => orUndefined(() => bucket.update('turn', JSON.stringify(record), revision)),
    asked: () => read(bucket, 'asked', askedRecord),
    ask: (record, revision) => orUndefined(() => bucket.update('asked', JSON.stringify(record), revision)),
    exceptions: async () => {
      const found = await bus.lastMessage(policyBucket.name, `$KV.${buckets.policy}.exceptions`);
      return found && { value: decode(exceptionsRecord, found.data), revision: found.seq };
    },
    keepExceptions: async (record, revision) =>
      orUndefined(() => bucket.update('exceptions', JSON.stringify(record), revision)),
    exceptionAsked: () => read(bucket, 'exception-asked', exceptionAskedRecord),
    askException: async (record, revision) =>
      orUndefined(() => bucket.update('exception-asked', JSON.stringify(record), revision)),
    shadow: () => read(bucket, 'shadow', shadowRecord),
    setShadow: async (record, revision) => orUndefined(() => bucket.update('shadow', JSON.stringify(record), revision)),
    history: () => ({
      activations: [...activations].map(([epoch, record]) => ({ ...record, epoch })).sort((a, b) => b.epoch - a.epoch),
      bundles: [...bundles.values()].sort((a, b) => b.version - a.version),
    }),
    close: () => follower.close(),
  };
};

const read = async <T>(bucket: Bucket, key: string, schema: z.ZodType<T>) => {
  const found = await bucket.get(key);
  return found?.operation === 'PUT' ? { value: decode(schema, found.value), revision: found.revision } : undefined;
};

/** Undefined where somebody else wrote first. */
const orUndefined = async (write: () => Promise<number>): Promise<number | undefined> => {
  try {
    return await write();
  } catch (error) {
    if (error instanceof WrongRevision) return undefined;
    throw error;
  }
};
