import { generateSigningKey } from '@agentgate/evidence';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { tellLife } from '../src/life.ts';
import { createProducer } from '../src/producer.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A service whose events are acknowledged after so long. */
const serviceAt = (ackMs: number) => {
  const warned: string[] = [];
  const log = {
    warn: (_: unknown, text?: string) => void warned.push(text ?? ''),
    error: () => expect.fail('an error'),
  };
  const published: string[] = [];
  const bus = {
    publishDurable: async (_: string, __: unknown, { id }: { id: string }) => {
      published.push(id);
      await new Promise((resolve) => setTimeout(resolve, ackMs));
      return { seq: published.length };
    },
  };
  const key = generateSigningKey();
  const about = { service: 'policy', instance: 'policy-1' };
  const evidence = createProducer({ ...about, bus: bus as never, key, log, now: Date.now });
  return { warned, published, life: tellLife({ ...about, version: '0', evidence, keyid: key.keyid, log }) };
};

test('says nothing of a sign of life that took three seconds', async () => {
  const { warned, published } = serviceAt(3_000);
  await vi.advanceTimersByTimeAsync(9_000);
  expect(published).toHaveLength(1);
  expect(warned).toEqual([]);
});

test('warns of one that is not in evidence when the next is due, and says what becomes of it', async () => {
  const { warned } = serviceAt(60_000);
  await vi.advanceTimersByTimeAsync(10_500);
  expect(warned).toEqual(['a sign of life is not in evidence yet; it is written once evidence is acknowledged again']);
});

test('waits two seconds at most for the word that it stops', async () => {
  const { warned, life } = serviceAt(60_000);
  const stopped = life.stop();
  await vi.advanceTimersByTimeAsync(2_000);
  await stopped;
  expect(warned).toEqual(['the end of this service is not in evidence']);
});
