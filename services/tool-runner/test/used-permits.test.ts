import { expect, test } from 'vitest';
import { createUsedPermits, type SharedMarks } from '../src/used-permits.ts';

const open = (shared: SharedMarks, at = { now: 0 }) => ({ at, used: createUsedPermits({ shared, now: () => at.now }) });
const refused = { code: 'POLICY_DENIED', message: 'permit: it was used already' };

test('takes a permit once even if Redis forgot it', async () => {
  const { used } = open({ mark: async () => true });
  await used.use('prm_1', 5_000);
  await expect(used.use('prm_1', 5_000)).rejects.toMatchObject(refused);
});

test('refuses a permit that another replica marked', async () => {
  const { used } = open({ mark: async () => false });
  await expect(used.use('prm_1', 5_000)).rejects.toMatchObject(refused);
});

test('refuses, and keeps the permit as used, when Redis does not answer', async () => {
  let down = true;
  const { used } = open({
    mark: async () => {
      if (down) throw new Error('down');
      return true;
    },
  });
  await expect(used.use('prm_1', 5_000)).rejects.toMatchObject({
    code: 'RUNNER_UNAVAILABLE',
    message: 'the permit cannot be marked as used: Redis does not answer',
  });
  down = false;
  await expect(used.use('prm_1', 5_000)).rejects.toMatchObject(refused);
});

test('the mark in Redis outlives the permit', async () => {
  const ttls: number[] = [];
  const { used } = open(
    {
      mark: async (_, ttlMs) => {
        ttls.push(ttlMs);
        return true;
      },
    },
    { now: 1_000 },
  );
  await used.use('prm_1', 5_000);
  expect(ttls).toEqual([6_000]);
});

test('forgets a permit only after it can no longer be used', async () => {
  const { used, at } = open({ mark: async () => true });
  await used.use('prm_1', 5_000);
  await used.use('prm_2', 6_000);
  at.now = 6_999;
  await expect(used.use('prm_1', 5_000)).rejects.toMatchObject(refused);
  at.now = 7_000;
  await used.use('prm_1', 5_000);
  await expect(used.use('prm_2', 6_000)).rejects.toMatchObject(refused);
});
