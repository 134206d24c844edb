import { generateSigningKey, type NoteSignature, parseNote, verifyCosignature } from '@agentgate/evidence';
import { afterEach, describe, expect, test } from 'vitest';
import type { SignedCheckpoint } from '../src/cosigning.ts';
import { type AddCheckpoint, createWitness, type Witness } from '../src/witness.ts';
import { growingLog, origin, realWitness, sizesIn } from './witness-kit.ts';

let close = () => {};
afterEach(() => close());

const asking = (
  log: ReturnType<typeof growingLog>,
  real: ReturnType<typeof realWitness>,
  add: AddCheckpoint = real.add,
) => {
  const cosigned: { checkpoint: SignedCheckpoint; signature: NoteSignature }[] = [];
  const forks: string[] = [];
  const witness: Witness = createWitness({
    key: real.key,
    add,
    proofs: log.proofs,
    onCosigned: (checkpoint, signature) => cosigned.push({ checkpoint, signature }),
    onFork: (what) => forks.push(what),
    firstPauseMs: 1,
  });
  close = witness.close;
  return { witness, cosigned, forks };
};
const setUp = (entries = 0) => {
  const log = growingLog();
  const real = realWitness('witness.example/a', [log]);
  if (entries > 0) {
    const { size, root } = log.grow(entries);
    real.seen.set(origin, { size, root });
  }
  return { log, real, ...asking(log, real) };
};

test('gets a cosignature that verifies, for each checkpoint from where the last was', async () => {
  const { log, real, witness, cosigned } = setUp();
  for (const entries of [7, 300, 1]) await witness.offer(log.grow(entries));
  expect(sizesIn(real.asked)).toEqual(['0→7', '7→307', '307→308']);
  expect(cosigned.map(({ checkpoint }) => checkpoint.size)).toEqual([7, 307, 308]);
  for (const { checkpoint, signature } of cosigned)
    expect(verifyCosignature(parseNote(checkpoint.note).text, { signature, witness: real.key })).toMatchObject({
      ok: true,
    });
  expect(witness.problem()).toBeUndefined();
});

test('learns from a witness where it stands', async () => {
  const { log, real, witness, cosigned } = setUp(20);
  await witness.offer(log.grow(5));
  expect(sizesIn(real.asked)).toEqual(['0→25', '20→25']);
  expect(cosigned).toHaveLength(1);
});

test('asks about the same checkpoint again when it is offered again', async () => {
  const { log, real, witness, cosigned } = setUp();
  const checkpoint = log.grow(7);
  await witness.offer(checkpoint);
  await witness.offer(checkpoint);
  expect(sizesIn(real.asked)).toEqual(['0→7', '7→7']);
  expect(cosigned).toHaveLength(2);
});

test('offers only the newest of what came while it was waiting', async () => {
  const { log, real, witness, cosigned } = setUp();
  let go = () => {};
  real.control.before = () =>
    new Promise((resolve) => {
      go = resolve;
    });
  const offers = [7, 1, 1, 1].map((entries) => witness.offer(log.grow(entries)));
  real.control.before = async () => {};
  await new Promise((resolve) => setTimeout(resolve, 5));
  go();
  await Promise.all(offers);
  expect(sizesIn(real.asked)).toEqual(['0→7', '7→10']);
  expect(cosigned.map(({ checkpoint }) => checkpoint.size)).toEqual([7, 10]);
});

test('asks again, about the newest, after a failure, and says meanwhile what is wrong', async () => {
  const { log, real, witness, cosigned } = setUp();
  let fails = 2;
  real.control.before = async () => {
    if (fails-- > 0) throw new Error('it cannot be reached');
  };
  await witness.offer(log.grow(7));
  expect(witness.problem()).toBe('it cannot be reached');
  await expect.poll(() => cosigned.length).toBe(1);
  expect(witness.problem()).toBeUndefined();
});

describe('a history that is not ours raises the alarm', () => {
  const key = generateSigningKey();
  const showFork = async (theirs: number, ours: number) => {
    const [log, forked] = [growingLog('', key), growingLog(' forged', key)];
    const real = realWitness('witness.example/a', [log]);
    const { size, root } = forked.grow(theirs);
    real.seen.set(origin, { size, root });
    const set = asking(log, real);
    await set.witness.offer(log.grow(ours));
    return set;
  };
  test.each([
    ['a larger tree', 30, 20, 'it has seen 30 entries, and there are 20'],
    ['another tree of our size', 20, 20, 'it has seen another tree of 20 entries'],
    ['a smaller tree that is not ours', 20, 30, 'it has seen 20 entries with which our 30 do not begin'],
  ])('%s', async (_, theirs, ours, says) => {
    const { forks, cosigned, witness } = await showFork(theirs, ours);
    expect(forks[0]).toBe(says);
    expect(witness.problem()).toBe(says);
    expect(cosigned).toEqual([]);
  });
});

test.each<[string, (body: string) => { status: number; body: string }, string]>([
  ['a refusal', () => ({ status: 403, body: 'no\n' }), 'it answered 403: no'],
  ['no signature', () => ({ status: 200, body: '' }), 'the signatures do not end in a newline'],
  ['a size that is none', () => ({ status: 409, body: '7' }), 'it answered 409 without a size'],
  [
    'a size that changes each time',
    (() => {
      let n = 0;
      return () => ({ status: 409, body: `${n++ % 3}\n` });
    })(),
    'it was asked 3 times, and each time it stood elsewhere',
  ],
])('does not take %s for a cosignature', async (_, answer, says) => {
  const log = growingLog();
  const real = realWitness('witness.example/a', [log]);
  const { witness, cosigned, forks } = asking(log, real, async (body) => answer(body));
  await witness.offer(log.grow(7));
  expect(witness.problem()).toBe(says);
  expect([cosigned, forks]).toEqual([[], []]);
});

test.each([
  ['another witness', 'witness.example/b', 'it answered without a cosignature of its own'],
  ['a thief of its name', 'witness.example/a', 'it answered without a cosignature of its own'],
])('does not take the cosignature of %s', async (_, name, says) => {
  const log = growingLog();
  const [real, other] = [realWitness('witness.example/a', [log]), realWitness(name, [log])];
  const { witness, cosigned } = asking(log, real, other.add);
  await witness.offer(log.grow(7));
  expect([witness.problem(), cosigned]).toEqual([says, []]);
});

test('does not take a cosignature of another checkpoint', async () => {
  const log = growingLog();
  const real = realWitness('witness.example/a', [log]);
  const first = log.grow(7);
  let stale = { status: 0, body: '' };
  const { witness, cosigned } = asking(log, real, async (body) => {
    if (stale.status === 0) {
      stale = await real.add(body);
      return stale;
    }
    return stale;
  });
  await witness.offer(first);
  await witness.offer(log.grow(1));
  expect(cosigned).toHaveLength(1);
  expect(witness.problem()).toBe(`the cosignature of ${real.key.name}+${real.key.id} is wrong`);
});
