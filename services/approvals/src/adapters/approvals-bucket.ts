import { type Bus, type Follower, WrongRevision } from '@agentgate/bus';
import { AgentGateError, approvalRecord, approvalSubject, buckets } from '@agentgate/contracts';
import { type ApprovalIndex, isOpen } from '../approval-index.ts';
import type { Held, Records } from '../ports.ts';

/** What ended is still told as what it is for a day. */
const keepEndedS = 86_400;
const writeMs = 900;

const unavailable = (cause: unknown) =>
  new AgentGateError('POLICY_UNAVAILABLE', 'the approvals do not answer', { cause });

/** Somebody else's write is an answer; anything else is a failure of the bucket. */
const compared = async (write: Promise<{ seq: number }>): Promise<number | 'conflict'> => {
  try {
    return (await write).seq;
  } catch (error) {
    if (error instanceof WrongRevision) return 'conflict';
    throw unavailable(error);
  }
};

const parse = (value: Uint8Array, revision: number): Held => ({
  record: approvalRecord.parse(JSON.parse(new TextDecoder().decode(value))),
  revision,
});

export const createApprovalsBucket = (
  bus: Pick<Bus, 'bucket' | 'publishDurable'>,
): Records & {
  /** Keeps the index up with the bucket; resolves when the index has everything that stood there. */
  feed(index: ApprovalIndex, log: { warn(fields: object, message: string): void }): Promise<Follower>;
} => {
  const bucket = bus.bucket(buckets.approvals);
  const put = (id: string, value: string, expectedLastSubjectSeq: number, headers?: Record<string, string>) =>
    compared(
      bus.publishDurable(approvalSubject(id), value, {
        expectedLastSubjectSeq,
        ...(headers && { headers }),
        timeoutMs: writeMs,
      }),
    );
  return {
    create: (record) => put(record.id, JSON.stringify(record), 0),
    update: (record, revision) =>
      put(record.id, JSON.stringify(record), revision, isOpen(record) ? undefined : { 'Nats-TTL': `${keepEndedS}s` }),
    read: async (id) => {
      try {
        const entry = await bucket.get(id);
        return entry?.operation === 'PUT' ? parse(entry.value, entry.revision) : undefined;
      } catch (error) {
        throw unavailable(error);
      }
    },
    feed: (index, log) =>
      bucket.watch(({ key, value, revision, operation }) => {
        if (operation !== 'PUT') return index.drop(key, revision);
        try {
          index.put(parse(value, revision));
        } catch (error) {
          log.warn({ err: error, key }, 'an approval cannot be read and is none');
        }
      }),
  };
};
