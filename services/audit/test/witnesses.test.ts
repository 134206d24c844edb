import { checkWitnesses, parseNote } from '@agentgate/evidence';
import { afterEach, describe, expect, test } from 'vitest';
import type { Anomaly } from '../src/anomaly.ts';
import { createWitness } from '../src/witness.ts';
import { type CosignedCheckpoint, createWitnesses, withSignatures } from '../src/witnesses.ts';
import { growingLog, origin, realWitness } from './witness-kit.ts';

let close = () => {};
afterEach(() => close());

const setUp = ({ count = 3, quorum = 2, waitMs = 200 } = {}) => {
  const log = growingLog();
  const reals = Array.from({ length: count }, (_, i) => realWitness(`witness.example/${i}`, [log]));
  const cosigned: CosignedCheckpoint[] = [];
  const anomalies: Anomaly[] = [];
  const clock = { now: 1_000_000 };
  const witnesses = createWitnesses({
    each: reals.map(
      ({ key, add }) =>
        (tell) =>
          createWitness({ key, add, proofs: log.proofs, firstPauseMs: 5, ...tell }),
    ),
    quorum,
    waitMs,
    onCosigned: (checkpoint) => cosigned.push(checkpoint),
    onAnomaly: (anomaly) => anomalies.push(anomaly),
    now: () => clock.now,
  });
  close = witnesses.close;
  const policy = { witnesses: reals.map(({ key }) => key), quorum };
  return { log, reals, witnesses, cosigned, anomalies, clock, policy };
};
const never = () => new Promise<void>(() => {});
/** Whether it resolves without waiting for anything outside of this process. */
const atOnce = (work: Promise<unknown>) =>
  Promise.race([work.then(() => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))]);

test('attaches the cosignatures of all that answer, and tells of a checkpoint that a quorum signed', async () => {
  const { log, witnesses, cosigned, policy } = setUp();
  const checkpoint = log.grow(7);
  const signatures = await witnesses.cosign(checkpoint);
  const verdict = checkWitnesses(parseNote(withSignatures(checkpoint.note, signatures)), { ...policy, quorum: 3 });
  expect(verdict).toMatchObject({ ok: true });
  const last = cosigned.at(-1);
  expect(last?.size).toBe(7);
  expect(checkWitnesses(parseNote(last?.note ?? ''), policy)).toMatchObject({ ok: true });
  expect(witnesses.lagMs()).toBe(0);
});

test('tells of a quorum as soon as there is one, and not before', async () => {
  const { log, reals, witnesses, cosigned } = setUp();
  const [first, second, third] = reals;
  for (const real of [second, third]) if (real) real.control.before = never;
  expect(first).toBeDefined();
  expect(await witnesses.cosign(log.grow(7))).toHaveLength(1);
  expect(cosigned).toEqual([]);
});

describe('a witness that is dead', () => {
  test('is waited for once, and not again before it signs', async () => {
    const { log, reals, witnesses } = setUp({ waitMs: 200 });
    let release = () => {};
    for (const real of reals)
      real.control.before = () =>
        new Promise((resolve) => {
          const before = release;
          release = () => {
            before();
            resolve();
          };
        });
    const first = witnesses.cosign(log.grow(7));
    expect(await atOnce(first)).toBe(false);
    await first;
    for (let i = 0; i < 5; i++) expect(await atOnce(witnesses.cosign(log.grow(1)))).toBe(true);
    for (const real of reals) real.control.before = async () => {};
    release();
    await expect.poll(() => witnesses.lagMs()).toBe(0);
    expect(await witnesses.cosign(log.grow(1))).toHaveLength(3);
  });

  test('takes nothing from the others', async () => {
    const { log, reals, witnesses, cosigned } = setUp({ waitMs: 60_000 });
    const [dead] = reals;
    if (dead) dead.control.before = never;
    // A quorum of the others is there at once, and what is published waits a moment more.
    expect(await witnesses.cosign(log.grow(7))).toHaveLength(2);
    expect(cosigned.at(-1)?.size).toBe(7);
    expect(await witnesses.cosign(log.grow(1))).toHaveLength(2);
  });
});

test('says what is late and who, tells of it once, and again after it was well', async () => {
  const { log, reals, witnesses, anomalies, clock } = setUp({ waitMs: 20 });
  const fail = async () => {
    throw new Error('it cannot be reached');
  };
  const all = (before: () => Promise<void>) => {
    for (const real of reals) real.control.before = before;
  };
  await witnesses.cosign(log.grow(7));
  all(fail);
  await witnesses.cosign(log.grow(1));
  clock.now += 31_000;
  for (let i = 0; i < 3; i++) witnesses.tick();
  expect(witnesses.health()).toMatch(/^no quorum of witnesses for 31 s: witness\.example\/0: it cannot be reached; /);
  expect(anomalies).toMatchObject([{ kind: 'unwitnessed', about: 'witnesses', toEvidence: true }]);
  all(async () => {});
  await expect.poll(() => witnesses.health()).toBe(true);
  witnesses.tick();
  all(fail);
  await witnesses.cosign(log.grow(1));
  clock.now += 31_000;
  witnesses.tick();
  expect(anomalies).toHaveLength(2);
  expect(new Set(anomalies.map(({ key }) => key)).size).toBe(2);
});

test('tells of a fork, with the witness that saw it', async () => {
  const { log, reals, witnesses, anomalies } = setUp();
  const { size, root } = growingLog(' forged', log.key).grow(9);
  reals[1]?.seen.set(origin, { size, root });
  await witnesses.cosign(log.grow(7));
  expect(anomalies[0]).toMatchObject({
    kind: 'fork',
    about: 'witness.example/1',
    detail: 'witness witness.example/1 contradicts this log: it has seen 9 entries, and there are 7',
    toEvidence: true,
  });
  expect(new Set(anomalies.map(({ key }) => key)).size).toBe(1);
});

test('without any witness waits for nobody', async () => {
  const { log, witnesses } = setUp({ count: 0, quorum: 1 });
  expect(await witnesses.cosign(log.grow(7))).toEqual([]);
});
