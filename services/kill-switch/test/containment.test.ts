import { expect, test } from 'vitest';
import { contain } from '../src/containment.ts';
import { createFakeClock, createFakePoints, session } from './fakes.ts';

const setUp = () => {
  const clock = createFakeClock();
  const fake = createFakePoints(clock);
  return { clock, fake, contain: () => contain({ ask: fake.ask, points: fake.points }, 7, session(), clock.monotonic) };
};
const call = 'call_0123456789';

test('contained as soon as every known point confirmed', async () => {
  const { fake, contain, clock } = setUp();
  fake.add('ingress', 'i1');
  fake.add('tool-runner', 'r1', [{ call, fate: 'aborted' }]);
  expect(await contain()).toEqual({
    contained: true,
    points: [
      { service: 'ingress', instance: 'i1', confirmed_in_ms: 1 },
      { service: 'tool-runner', instance: 'r1', confirmed_in_ms: 2 },
    ],
    calls: [{ call, fate: 'aborted' }],
    voided: 0,
    leases: { revoked: 0, irrevocable: [] },
  });
  expect(clock.monotonic()).toBe(2);
});

test('counts what the approvals service voided, and is not contained while it is silent', async () => {
  const { fake, contain } = setUp();
  fake.add('ingress', 'i1');
  fake.add('tool-runner', 'r1');
  fake.add('approvals', 'a1');
  fake.answerWith('approvals/a1', (epoch) => ({ epoch, calls: [], voided: 3 }));
  expect(await contain()).toMatchObject({ contained: true, voided: 3 });
  const silent = setUp();
  silent.fake.add('ingress', 'i1');
  silent.fake.add('tool-runner', 'r1');
  silent.fake.add('approvals', 'a1', 'silent');
  expect(await silent.contain()).toMatchObject({ contained: false, voided: 0 });
});

test('counts the leases that brokers saw refused, and is not contained while one may still be good', async () => {
  const told = (b1: object, b2: object) => {
    const { fake, contain } = setUp();
    fake.add('ingress', 'i1');
    fake.add('tool-runner', 'r1');
    for (const [name, leases] of Object.entries({ b1, b2 })) {
      fake.add('credential-broker', name);
      const all = { revoked: [], unproven: [], failed: [], ...leases };
      fake.answerWith(`credential-broker/${name}`, (epoch) => ({ epoch, calls: [], leases: all }));
    }
    return contain();
  };
  expect(await told({ revoked: ['a', 'b'] }, { revoked: ['b'], failed: ['a'] })).toMatchObject({
    contained: true,
    leases: { revoked: 2, irrevocable: [] },
  });
  expect(await told({ revoked: ['a'], unproven: ['c'] }, { failed: ['b'] })).toMatchObject({
    contained: false,
    leases: { revoked: 1, irrevocable: ['b', 'c'] },
  });
});

test('not contained while a known broker is silent', async () => {
  const { fake, contain } = setUp();
  fake.add('ingress', 'i1');
  fake.add('tool-runner', 'r1');
  fake.add('credential-broker', 'b1', 'silent');
  expect(await contain()).toMatchObject({ contained: false });
});

test('not contained when a known point is silent, which is listed with null after 2 s', async () => {
  const { fake, contain, clock } = setUp();
  fake.add('ingress', 'i1', [{ call, fate: 'dispatched' }]);
  fake.add('tool-runner', 'r1');
  fake.add('tool-runner', 'r2', 'silent');
  const result = await contain();
  expect(result.contained).toBe(false);
  expect(result.points[2]).toEqual({ service: 'tool-runner', instance: 'r2', confirmed_in_ms: null });
  expect(result.calls).toEqual([{ call, fate: 'unknown' }]);
  expect(clock.monotonic()).toBeGreaterThanOrEqual(2_000);
});

test.each(['ingress', 'tool-runner'] as const)('not contained when only %s points are known', async (kind) => {
  const { fake, contain } = setUp();
  fake.add(kind, 'p1');
  expect(await contain()).toMatchObject({ contained: false, points: [{ instance: 'p1', confirmed_in_ms: 1 }] });
});

test('not contained, and waits its full time, when no point is known at all', async () => {
  const { contain, clock } = setUp();
  expect(await contain()).toEqual({
    contained: false,
    points: [],
    calls: [],
    voided: 0,
    leases: { revoked: 0, irrevocable: [] },
  });
  expect(clock.monotonic()).toBe(2_000);
});

test('not contained when a point answers for an older epoch', async () => {
  const { fake, contain } = setUp();
  fake.add('ingress', 'i1');
  fake.add('tool-runner', 'r1');
  fake.answerWith('tool-runner/r1', () => ({ epoch: 6, calls: [] }));
  expect(await contain()).toMatchObject({ contained: false, points: [{}, { instance: 'r1', confirmed_in_ms: null }] });
});

test('not contained when a point comes up during the order and does not confirm', async () => {
  const { fake, contain } = setUp();
  fake.add('tool-runner', 'r1');
  fake.answerWith('ingress/i1', (epoch) => {
    fake.add('tool-runner', 'r2', 'silent');
    return { epoch, calls: [] };
  });
  expect(await contain()).toMatchObject({ contained: false });
});

test('lists a point that answered although nobody had heard of it', async () => {
  const { fake, contain } = setUp();
  fake.answerWith('ingress/i1', (epoch) => ({ epoch, calls: [] }));
  fake.answerWith('tool-runner/r1', (epoch) => ({ epoch, calls: [] }));
  expect(await contain()).toMatchObject({ contained: true, points: [{ instance: 'i1' }, { instance: 'r1' }] });
});

test('a dispatched call is unknown when a runner was lost that may have run it', async () => {
  const { fake, contain } = setUp();
  fake.add('ingress', 'i1', [{ call, fate: 'dispatched' }]);
  fake.add('tool-runner', 'r1');
  fake.add('tool-runner', 'r2', 'silent');
  fake.points.alive({ service: 'tool-runner', instance: 'r2' }, 'leaving');
  expect(await contain()).toMatchObject({ contained: true, calls: [{ call, fate: 'unknown' }] });
});
