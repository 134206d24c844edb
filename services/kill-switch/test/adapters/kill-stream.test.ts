import { type PubAck, type PublishOptions, WrongRevision } from '@agentgate/bus';
import { AgentGateError, type KillRecord, killSubject } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createKillStream } from '../../src/adapters/kill-stream.ts';
import { session } from '../fakes.ts';

const record: KillRecord = {
  v: 1,
  state: 'killed',
  scope: session(),
  reason: 'why',
  by: 'ann',
  at: '2026-03-01T12:00:00.000Z',
};
const ack = { stream: 'KILL', seq: 7, duplicate: false };
const lost = () => Promise.reject(new AgentGateError('EVIDENCE_UNAVAILABLE', 'no acknowledgement'));

/** Publishing behaves as each of `tries` says in turn. */
const setUp = (tries: (() => Promise<PubAck>)[], last?: { seq: number; text: string }) => {
  const sent: { subject: string; body: string; opts: PublishOptions }[] = [];
  const stream = createKillStream({
    publishDurable: (subject, body, opts) => {
      sent.push({ subject, body: String(body), opts });
      return (tries[sent.length - 1] ?? expect.fail('published once too often'))();
    },
    lastMessage: async () => last && { seq: last.seq, data: Buffer.from(last.text), header: () => undefined },
    streamInfo: () => expect.fail('was asked'),
  });
  return { stream, sent };
};

test('an order is written once, against the order that is expected', async () => {
  const { stream, sent } = setUp([async () => ack]);
  expect(await stream.write(record, 3)).toBe(7);
  expect(sent).toMatchObject([
    {
      subject: killSubject('session:ses_0123456789'),
      body: JSON.stringify(record),
      opts: { expectedLastSubjectSeq: 3 },
    },
  ]);
});

test('without an expectation it is written whatever stands there', async () => {
  const { stream, sent } = setUp([async () => ack]);
  await stream.write(record);
  expect(sent[0]?.opts).not.toHaveProperty('expectedLastSubjectSeq');
});

test('not persisted: the order is sent again under the same id', async () => {
  const { stream, sent } = setUp([lost, async () => ack]);
  expect(await stream.write(record, 0)).toBe(7);
  expect(new Set(sent.map((s) => s.opts.id)).size).toBe(1);
});

test('persisted but errored: the repetition’s conflict with itself is a success', async () => {
  const { stream } = setUp([lost, () => Promise.reject(new WrongRevision('kill.v1'))], {
    seq: 6,
    text: JSON.stringify(record),
  });
  expect(await stream.write(record, 0)).toBe(6);
});

test('a conflict with somebody else’s order is a conflict, on the first try and on a repetition', async () => {
  const other = { seq: 6, text: JSON.stringify({ ...record, by: 'bob' }) };
  const conflict = () => Promise.reject(new WrongRevision('kill.v1'));
  expect(await setUp([conflict], other).stream.write(record, 0)).toBe('conflict');
  expect(await setUp([lost, conflict], other).stream.write(record, 0)).toBe('conflict');
});

test('KILL_SWITCH_UNAVAILABLE, and that the order may stand, when nobody acknowledged it', async () => {
  const { stream, sent } = setUp([lost, lost, lost]);
  await expect(stream.write(record)).rejects.toMatchObject({
    code: 'KILL_SWITCH_UNAVAILABLE',
    message: 'the KILL stream did not acknowledge the order: it may stand, repeat it',
  });
  expect(sent).toHaveLength(3);
});

test('an acknowledgement of another stream is none', async () => {
  const foreign = async () => ({ ...ack, stream: 'OTHER' });
  await expect(setUp([foreign, foreign, foreign]).stream.write(record)).rejects.toMatchObject({
    code: 'KILL_SWITCH_UNAVAILABLE',
  });
});

test('a last order that cannot be read is not an absence', async () => {
  expect(await setUp([], { seq: 1, text: '{' }).stream.last('global')).toEqual({ epoch: 1, record: undefined });
});

test('KILL_SWITCH_UNAVAILABLE within a second when the leader’s answer was lost, so that the next pulse is in time', async () => {
  const stream = createKillStream({
    publishDurable: () => expect.fail('published'),
    lastMessage: () => expect.fail('was asked'),
    streamInfo: () => new Promise(() => {}),
  });
  const began = performance.now();
  await expect(stream.leader()).rejects.toMatchObject({ code: 'KILL_SWITCH_UNAVAILABLE' });
  expect(performance.now() - began).toBeLessThan(1_000);
});
