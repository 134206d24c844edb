import { createHash, randomBytes } from 'node:crypto';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Bus } from '../src/index.ts';

// With the permissions of the policy service: nobody may delete or purge.

let ground: Ground;
let policy: Bus;
let other: Bus;

beforeAll(async () => {
  ground = await startGround({ redis: false });
  policy = await ground.connect('policy', { instance: 'one' });
  other = await ground.connect('policy', { instance: 'two' });
});
afterAll(() => ground?.stop());

const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('an object of several parts comes back as it was stored, to another connection too', async () => {
  const bytes = randomBytes(1_000_000);
  await policy.objects('BUNDLES').put('big', bytes);
  const back = await other.objects('BUNDLES').get('big');
  expect(digestOf(back ?? new Uint8Array())).toBe(digestOf(bytes));
});

test('an object that is there stays as it is, also when two write it at once', async () => {
  await Promise.all([policy, other].map((bus) => bus.objects('BUNDLES').put('same', Buffer.from('first'))));
  await policy.objects('BUNDLES').put('same', Buffer.from('second'));
  expect(Buffer.from((await policy.objects('BUNDLES').get('same')) ?? []).toString()).toBe('first');
});

test('an object that was never stored is undefined', async () => {
  expect(await policy.objects('BUNDLES').get('none')).toBeUndefined();
});

test('rejects instead of waiting while NATS is away, whether its connection knows of it yet or not', async () => {
  await ground.nats.stop();
  const why = () =>
    policy
      .objects('BUNDLES')
      .get('big')
      .catch((error) => error);
  expect(await why()).toMatchObject({ code: 'INTERNAL', message: expect.stringMatching(/^object store BUNDLES ./) });
  await expect.poll(() => policy.connected()).toBe(false);
  expect(await why()).toMatchObject({
    code: 'INTERNAL',
    message: 'object store BUNDLES cannot be reached: not connected to NATS',
  });
  await ground.nats.start();
});
