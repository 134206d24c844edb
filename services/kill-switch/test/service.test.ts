import { AgentGateError, type KillRecord, killReceipt, killsAnswer } from '@agentgate/contracts';
import { canonical, verifyingKey } from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { itself } from '../src/service.ts';
import { createFixture, session, start } from './fakes.ts';

const kill = (more: object = {}) => ({ v: 1 as const, scope: session(), reason: 'runs wild', ...more });
const call = 'call_0123456789';

test('a kill is written, shown in the view, enforced at the points, receipted and recorded', async () => {
  const { killSwitch, fakePoints, view, recorded, key, stream } = createFixture();
  fakePoints.add('ingress', 'i1', [{ call, fate: 'not_started' }]);
  fakePoints.add('tool-runner', 'r1');
  const receipt = await killSwitch.kill('ann', kill());
  expect(killReceipt.parse(receipt)).toMatchObject({
    epoch: 1,
    scope: session(),
    ordered_at: '2026-03-01T12:00:00.000Z',
    contained: true,
    contained_in_ms: 2,
    calls: [{ call, fate: 'aborted' }],
    leases: { revoked: 0, irrevocable: [] },
    approvals: { voided: 0 },
  });
  const { signature, ...rest } = receipt;
  const signed = Buffer.from(`agentgate-receipt-v1\n${canonical(rest)}`);
  expect(verifyingKey(key.publicKey).verify(signed, Buffer.from(signature, 'base64'))).toBe(true);
  expect(fakePoints.asked).toEqual([{ epoch: 1, scope: session() }]);
  expect(view.written.get('session:ses_0123456789')).toMatchObject({ epoch: 1, state: 'killed' });
  expect((await stream.last('session:ses_0123456789'))?.record).toMatchObject({
    state: 'killed',
    by: 'ann',
    reason: 'runs wild',
  });
  expect(recorded).toEqual([
    {
      name: 'kill.ordered',
      subject: 'session:ses_0123456789',
      session: 'ses_0123456789',
      data: { epoch: 1, scope: session(), reason: 'runs wild', by: 'ann' },
    },
    { name: 'kill.contained', subject: 'session:ses_0123456789', session: 'ses_0123456789', data: receipt },
  ]);
});

test('its scope is held everywhere before the order is written', async () => {
  const { killSwitch, held, fakePoints } = createFixture();
  fakePoints.add('ingress', 'i1');
  fakePoints.add('tool-runner', 'r1');
  await killSwitch.kill('ann', kill());
  expect(held).toEqual([{ scope: session(), orders: 0 }]);
});

test('the order stands and the receipt goes out when evidence cannot be written', async () => {
  const { killSwitch, evidence, orders, fakePoints } = createFixture();
  fakePoints.add('ingress', 'i1');
  fakePoints.add('tool-runner', 'r1');
  evidence.fails = true;
  expect(await killSwitch.kill('ann', kill())).toMatchObject({ epoch: 1, contained: true });
  expect(orders.active()).toHaveLength(1);
});

test('the points are asked although the view cannot be written', async () => {
  const { killSwitch, view, fakePoints } = createFixture();
  fakePoints.add('ingress', 'i1');
  fakePoints.add('tool-runner', 'r1');
  view.down = true;
  expect(await killSwitch.kill('ann', kill())).toMatchObject({ contained: true });
});

test('no point is asked when the stream did not take the order, and evidence says why calls ended all the same', async () => {
  const { killSwitch, stream, fakePoints, orders, recorded } = createFixture();
  stream.beforeWrite = async () => {
    throw new AgentGateError(
      'KILL_SWITCH_UNAVAILABLE',
      'the KILL stream did not acknowledge the order: it may stand, repeat it',
    );
  };
  await expect(killSwitch.kill('ann', kill())).rejects.toMatchObject({
    code: 'KILL_SWITCH_UNAVAILABLE',
    message: expect.stringContaining('it may stand'),
  });
  expect([fakePoints.asked, orders.active()]).toEqual([[], []]);
  expect(recorded).toEqual([
    {
      name: 'kill.failed',
      subject: 'session:ses_0123456789',
      session: 'ses_0123456789',
      data: {
        scope: session(),
        reason: 'runs wild',
        by: 'ann',
        why: 'the KILL stream did not acknowledge the order: it may stand, repeat it',
      },
    },
  ]);
});

test('a kill that was repeated is a new order with its own containment', async () => {
  const { killSwitch, fakePoints, orders } = createFixture();
  await killSwitch.kill('ann', kill());
  expect(await killSwitch.kill('ann', kill())).toMatchObject({ epoch: 2 });
  expect(fakePoints.asked.map((a) => a.epoch)).toEqual([1, 2]);
  expect(orders.active()).toHaveLength(1);
});

test.each([
  [undefined, 1_000, undefined],
  [5_000, 1_000, 5_000],
  [1_000, 5_000, 5_000],
  [1_000, undefined, undefined],
])('a kill for %s ms that is killed again for %s ms ends after %s ms', async (first, second, wanted) => {
  const { killSwitch, orders } = createFixture();
  const ends = (ms: number | undefined) => (ms === undefined ? {} : { expires_in_ms: ms });
  await killSwitch.kill('ann', kill(ends(first)));
  await killSwitch.kill('bob', kill(ends(second)));
  expect(orders.active()[0]?.expires_at).toBe(
    wanted === undefined ? undefined : new Date(start + wanted).toISOString(),
  );
});

test('a kill that lost a race to another kill does not shorten it', async () => {
  const { killSwitch, stream, orders } = createFixture();
  let raced = false;
  stream.beforeWrite = async (record: KillRecord) => {
    if (raced) return;
    raced = true;
    await stream.write({ ...record, by: 'bob', expires_at: new Date(start + 9_000).toISOString() });
  };
  expect(await killSwitch.kill('ann', kill({ expires_in_ms: 1_000 }))).toMatchObject({ epoch: 2 });
  expect(orders.active()).toMatchObject([{ by: 'ann', expires_at: new Date(start + 9_000).toISOString() }]);
});

test('a kill that loses every race is written whatever stands there, and without an end', async () => {
  const { killSwitch, stream, orders } = createFixture();
  let depth = 0;
  stream.beforeWrite = async (record: KillRecord) => {
    if (depth > 0) return;
    depth++;
    await stream.write({ ...record, state: 'lifted', by: 'bob' });
    depth--;
  };
  await killSwitch.kill('ann', kill({ expires_in_ms: 1_000 }));
  expect(orders.active()).toMatchObject([{ by: 'ann' }]);
  expect(orders.active()[0]).not.toHaveProperty('expires_at');
});

test('a lift is written, recorded and told with its epoch', async () => {
  const { killSwitch, recorded, orders } = createFixture();
  await killSwitch.kill('ann', kill());
  expect(await killSwitch.lift('bob', { v: 1, scope: session(), reason: 'calm again' })).toEqual({
    v: 1,
    status: 'lifted',
    epoch: 2,
  });
  expect(orders.active()).toEqual([]);
  expect(recorded.at(-1)).toMatchObject({
    name: 'kill.lifted',
    data: { epoch: 2, scope: session(), reason: 'calm again', by: 'bob' },
  });
});

test('a lift of what is not killed, or was lifted before, says so and writes nothing', async () => {
  const { killSwitch, stream } = createFixture();
  const lift = () => killSwitch.lift('bob', { v: 1, scope: session(), reason: 'calm again' });
  expect(await lift()).toEqual({ v: 1, status: 'not_killed', epoch: 0 });
  await killSwitch.kill('ann', kill());
  await lift();
  expect(await lift()).toEqual({ v: 1, status: 'not_killed', epoch: 2 });
  expect(stream.epoch).toBe(2);
});

test('a lift does not undo a kill that came at the same moment', async () => {
  const { killSwitch, stream, orders } = createFixture();
  await killSwitch.kill('ann', kill());
  stream.beforeWrite = async (record: KillRecord) => {
    stream.beforeWrite = async () => {};
    await stream.write({ ...record, state: 'killed', by: 'eve' });
  };
  await expect(killSwitch.lift('bob', { v: 1, scope: session(), reason: 'calm again' })).rejects.toMatchObject({
    code: 'KILL_SWITCH_UNAVAILABLE',
    message: '/scope: was killed anew by eve at the same moment; look at that order before you lift it',
  });
  expect(orders.active()).toMatchObject([{ by: 'eve' }]);
});

test('an order that cannot be read is replaced by a kill without an end, and not by a lift', async () => {
  const { killSwitch, stream, orders } = createFixture();
  await stream.write({
    v: 1,
    state: 'killed',
    scope: session(),
    reason: 'x',
    by: 'eve',
    at: '2026-03-01T12:00:00.000Z',
  });
  const { last } = stream;
  stream.last = async (key) => (orders.get(key)?.record.by === 'ann' ? last(key) : { epoch: 1, record: undefined });
  await expect(killSwitch.lift('bob', { v: 1, scope: session(), reason: 'calm again' })).rejects.toMatchObject({
    code: 'KILL_SWITCH_UNAVAILABLE',
    message: '/scope: its last order cannot be read; kill it anew before you lift it',
  });
  orders.get = () => undefined;
  await killSwitch.kill('ann', kill({ expires_in_ms: 1_000 }));
  expect(orders.active()).toMatchObject([{ by: 'ann', epoch: 2 }]);
  expect(orders.active()[0]).not.toHaveProperty('expires_at');
});

test('an agent without a tenant and the same agent of the default tenant are one scope', async () => {
  const { killSwitch, recorded } = createFixture();
  await killSwitch.kill('ann', kill({ scope: { kind: 'agent', id: 'demo' } }));
  expect(
    await killSwitch.lift('ann', { v: 1, scope: { kind: 'agent', id: 'demo', tenant: 'default' }, reason: 'ok' }),
  ).toMatchObject({ status: 'lifted' });
  expect(recorded[0]).toMatchObject({ subject: 'agent:default:demo', tenant: 'default', agent: 'demo' });
});

test('an order ends by itself when its time is over, once, and by the name of the gate', async () => {
  const { killSwitch, clock, recorded, orders, stream } = createFixture();
  await killSwitch.kill('ann', kill({ expires_in_ms: 1_000 }));
  clock.pass(999);
  await killSwitch.expire();
  expect(orders.active()).toHaveLength(1);
  clock.pass(1);
  await Promise.all([killSwitch.expire(), killSwitch.expire()]);
  expect(orders.active()).toEqual([]);
  expect(recorded.filter((e) => e.name === 'kill.lifted')).toMatchObject([
    { data: { epoch: 2, by: itself, reason: 'expired' } },
  ]);
  expect(stream.epoch).toBe(2);
});

test('an order whose time is over is not lifted when it was killed anew meanwhile', async () => {
  const { killSwitch, clock, orders, stream } = createFixture();
  await killSwitch.kill('ann', kill({ expires_in_ms: 1_000 }));
  clock.pass(1_000);
  stream.beforeWrite = async (record: KillRecord) => {
    stream.beforeWrite = async () => {};
    await stream.write({ ...record, state: 'killed', by: 'eve' });
  };
  await killSwitch.expire();
  expect(orders.active()).toMatchObject([{ by: 'eve' }]);
});

test('lists the newest kill first, and nothing while the orders are stale', async () => {
  const { killSwitch, freshness, clock } = createFixture();
  expect(() => killSwitch.list()).toThrow(
    expect.objectContaining({ code: 'KILL_SWITCH_UNAVAILABLE', message: 'the kill orders are stale' }),
  );
  await killSwitch.kill('ann', kill());
  await killSwitch.kill('ann', kill({ scope: { kind: 'global' } }));
  freshness.vouch(2, clock.monotonic());
  const list = killsAnswer.parse(killSwitch.list());
  expect(list).toMatchObject({
    v: 1,
    epoch: 2,
    kills: [
      { epoch: 2, scope: { kind: 'global' } },
      { epoch: 1, scope: session(), by: 'ann' },
    ],
  });
});

test('10,000 kills can be listed; a list that would not fit into a message is refused, not cut', async () => {
  const { orders, killSwitch, freshness } = createFixture();
  const add = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const scope = session(`ses_${String(i).padStart(10, '0')}`);
      orders.apply({
        key: `session:ses_${String(i).padStart(10, '0')}`,
        epoch: i + 1,
        record: { v: 1, state: 'killed', scope, reason: 'x'.repeat(200), by: 'ann', at: '2026-03-01T12:00:00.000Z' },
      });
    }
  };
  freshness.vouch(0, 0);
  add(0, 10_000);
  expect(killSwitch.list().kills).toHaveLength(10_000);
  add(10_000, 20_000);
  expect(() => killSwitch.list()).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
});

const lift = { v: 1 as const, scope: session(), reason: 'calm again' };

test('under dual control a kill is lifted by the second operator who asks, and stands until then', async () => {
  const { killSwitch, orders, recorded, clock } = createFixture(['session']);
  await killSwitch.kill('ann', kill());
  expect(await killSwitch.lift('ann', lift)).toEqual({ v: 1, status: 'pending_second', epoch: 2 });
  expect(await killSwitch.lift('ann', lift), 'the same one again is not a second one').toMatchObject({
    status: 'pending_second',
  });
  expect(orders.active()).toMatchObject([{ scope: session(), by: 'ann' }]);
  clock.pass(300_000);
  expect(await killSwitch.lift('bob', lift)).toMatchObject({ status: 'lifted' });
  expect(orders.active()).toEqual([]);
  expect(recorded.map(({ name, data }) => [name, (data as { by?: string }).by])).toEqual([
    ['kill.ordered', 'ann'],
    ['kill.contained', undefined],
    ['kill.lift_asked', 'ann'],
    ['kill.lift_asked', 'ann'],
    ['kill.lifted', 'bob'],
  ]);
});

test('under dual control a wish that is older than five minutes is none, nor one from before the kill', async () => {
  const { killSwitch, orders, clock } = createFixture(['session']);
  await killSwitch.kill('ann', kill());
  await killSwitch.lift('ann', lift);
  clock.pass(300_001);
  expect(await killSwitch.lift('bob', lift)).toMatchObject({ status: 'pending_second' });
  await killSwitch.kill('eve', kill());
  expect(await killSwitch.lift('ann', lift)).toMatchObject({ status: 'pending_second' });
  expect(orders.active()).toHaveLength(1);
});

test('dual control is of the kinds that it names, and not of an order that ends by itself', async () => {
  const { killSwitch, orders, clock } = createFixture(['global']);
  await killSwitch.kill('ann', kill());
  expect(await killSwitch.lift('ann', lift)).toMatchObject({ status: 'lifted' });
  await killSwitch.kill('ann', { v: 1, scope: { kind: 'global' }, reason: 'x', expires_in_ms: 1_000 });
  clock.pass(1_000);
  await killSwitch.expire();
  expect(orders.active()).toEqual([]);
});

test('a kill of an agent cuts its connections once its calls were answered, and the server is a point of the receipt', async () => {
  const { killSwitch, fakePoints, connections } = createFixture();
  fakePoints.add('ingress', 'i1', [{ call, fate: 'dispatched' }]);
  fakePoints.add('tool-runner', 'r1', [{ call, fate: 'aborted' }]);
  const receipt = await killSwitch.kill('ann', kill({ scope: { kind: 'agent', id: 'crm', tenant: 'acme' } }));
  expect(connections.cut).toEqual([{ tenant: 'acme', agent: 'crm' }]);
  expect(killReceipt.parse(receipt)).toMatchObject({ contained: true, contained_in_ms: 27 });
  expect(receipt.points.at(-1)).toEqual({ service: 'nats-server', instance: 'nats', confirmed_in_ms: 27 });
});

test('an agent whose connections the server did not cut is not contained', async () => {
  const { killSwitch, fakePoints, connections } = createFixture();
  fakePoints.add('ingress', 'i1');
  fakePoints.add('tool-runner', 'r1');
  connections.fails = true;
  const receipt = await killSwitch.kill('ann', kill({ scope: { kind: 'agent', id: 'crm' } }));
  expect(receipt.contained).toBe(false);
  expect(receipt.points.at(-1)).toEqual({ service: 'nats-server', instance: 'nats', confirmed_in_ms: null });
});

test('a kill of anything else cuts nobody off', async () => {
  const { killSwitch, fakePoints, connections } = createFixture();
  fakePoints.add('ingress', 'i1');
  fakePoints.add('tool-runner', 'r1');
  for (const scope of [session(), { kind: 'tenant', id: 'acme' }, { kind: 'global' }])
    expect((await killSwitch.kill('ann', kill({ scope }))).contained).toBe(true);
  expect(connections.cut).toEqual([]);
});
