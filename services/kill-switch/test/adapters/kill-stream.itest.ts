import type { Bus } from '@agentgate/bus';
import { AgentGateError, type KillRecord, type Scope, scopeKey } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKillStream } from '../../src/adapters/kill-stream.ts';
import { session } from '../fakes.ts';

let ground: Ground;
let bus: Bus;
beforeAll(async () => {
  ground = await startGround({ redis: false });
  bus = await ground.connect('kill-switch');
});
afterAll(async () => {
  await ground.stop();
});

let next = 0;
const newScope = (): Scope => session(`ses_${String(next++).padStart(10, '0')}`);
const record = (scope: Scope, more: Partial<KillRecord> = {}): KillRecord => ({
  v: 1,
  state: 'killed',
  scope,
  reason: 'why',
  by: 'ann',
  at: '2026-03-01T12:00:00.000Z',
  ...more,
});
/** The order reaches the stream, its acknowledgement does not come back. */
const losingAcks = (times: number): Pick<Bus, 'publishDurable' | 'lastMessage' | 'streamInfo'> => ({
  lastMessage: bus.lastMessage,
  streamInfo: bus.streamInfo,
  publishDurable: async (...args) => {
    const answer = await Promise.allSettled([bus.publishDurable(...args)]);
    if (times-- > 0) throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'the acknowledgement was lost');
    if (answer[0].status === 'rejected') throw answer[0].reason;
    return answer[0].value;
  },
});

test('an order is written, read back, and moves the epoch', async () => {
  const stream = createKillStream(bus);
  const scope = newScope();
  const before = await stream.leader();
  const epoch = await stream.write(record(scope), 0);
  expect(epoch).toBe(before.epoch + 1);
  expect(await stream.last(scopeKey(scope))).toEqual({ epoch, record: record(scope) });
  expect(await stream.leader()).toEqual({ stream: before.stream, epoch });
});

test('a scope without an order has none', async () => {
  expect(await createKillStream(bus).last('tenant:nobody')).toBeUndefined();
});

test('a conflict when another order stands there, and nothing is written', async () => {
  const stream = createKillStream(bus);
  const scope = newScope();
  const first = await stream.write(record(scope), 0);
  expect(await stream.write(record(scope, { by: 'bob' }), 0)).toBe('conflict');
  expect(await stream.last(scopeKey(scope))).toMatchObject({ epoch: first, record: { by: 'ann' } });
  expect(await stream.write(record(scope, { by: 'bob' }), first as number)).toBe((first as number) + 1);
});

test.each([
  ['against what stands there', 0],
  ['whatever stands there', undefined],
])('persisted but errored: an order %s whose acknowledgement was lost is stored once', async (_, expected) => {
  const stream = createKillStream(losingAcks(1));
  const scope = newScope();
  const before = (await stream.leader()).epoch;
  expect(await stream.write(record(scope), expected)).toBe(before + 1);
  expect((await stream.leader()).epoch).toBe(before + 1);
});

test('persisted but errored: after a refusal the order stands, and the operator’s repetition is a new order of the same scope', async () => {
  const scope = newScope();
  await expect(createKillStream(losingAcks(3)).write(record(scope), 0)).rejects.toMatchObject({
    code: 'KILL_SWITCH_UNAVAILABLE',
  });
  const stream = createKillStream(bus);
  const stands = await stream.last(scopeKey(scope));
  expect(stands?.record).toEqual(record(scope));
  const again = await stream.write(record(scope, { at: '2026-03-01T12:00:09.000Z' }), stands?.epoch ?? 0);
  expect(again).toBe((stands?.epoch ?? 0) + 1);
});

test('KILL_SWITCH_UNAVAILABLE when NATS is away, and fine again afterwards', async () => {
  const stream = createKillStream(bus);
  await ground.nats.kill('SIGKILL');
  await expect(stream.leader()).rejects.toMatchObject({
    code: 'KILL_SWITCH_UNAVAILABLE',
    message: 'the KILL stream does not answer',
  });
  await expect(stream.write(record(newScope()))).rejects.toMatchObject({ code: 'KILL_SWITCH_UNAVAILABLE' });
  await ground.nats.start();
  await expect.poll(() => stream.leader().catch(() => undefined), { timeout: 10_000 }).toBeDefined();
  expect(await stream.write(record(newScope()), 0)).toBeGreaterThan(0);
});
