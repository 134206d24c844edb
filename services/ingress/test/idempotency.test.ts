import { describe, expect, test } from 'vitest';
import type { Reply } from '../src/call-path.ts';
import { type Claim, type KeyStore, runOnce } from '../src/idempotency.ts';

const memoryStore = () => {
  const claims = new Map<string, Claim>();
  const store: KeyStore = {
    claim: async (at, claim) => {
      const standing = claims.get(at);
      if (!standing) claims.set(at, claim);
      return standing;
    },
    read: async (at) => claims.get(at),
    finish: async (at, claim) => void claims.set(at, claim),
    release: async (at) => void claims.delete(at),
  };
  return { claims, store };
};
const keyed = (over: Partial<Claim> = {}) => ({
  at: 'idem:default:demo:k',
  claim: { call: 'call_0000000001', content: 'c1', until: 1_000, ...over },
  deadline: 500,
});
const ok: Reply = { call: 'call_0000000001', status: 'ok', code: 'OK', reason: '' };

describe('a keyed call', () => {
  test('runs once and gives everybody the first reply', async () => {
    const { store } = memoryStore();
    let runs = 0;
    const run = async () => {
      runs++;
      await new Promise((resolve) => setTimeout(resolve, 20));
      return ok;
    };
    const replies = await Promise.all([1, 2, 3].map(() => runOnce(store, keyed(), () => 0, run)));
    expect(runs).toBe(1);
    expect(replies).toEqual([ok, ok, ok]);
  });

  test('is refused with KEY_REUSED for other content', async () => {
    const { store } = memoryStore();
    await runOnce(
      store,
      keyed(),
      () => 0,
      async () => ok,
    );
    await expect(
      runOnce(
        store,
        keyed({ content: 'c2' }),
        () => 0,
        async () => expect.fail('it ran'),
      ),
    ).rejects.toMatchObject({ code: 'KEY_REUSED' });
  });

  test('is outcome_unknown and never runs again when the first worker is gone', async () => {
    const { store, claims } = memoryStore();
    claims.set('idem:default:demo:k', keyed().claim);
    const reply = await runOnce(
      store,
      keyed(),
      () => 2_000,
      async () => expect.fail('it ran'),
    );
    expect(reply).toMatchObject({ status: 'outcome_unknown', code: 'OUTCOME_UNKNOWN' });
  });

  test('may be asked again after approval_required', async () => {
    const { store } = memoryStore();
    const asks: Reply = { status: 'approval_required', code: 'APPROVAL_REQUIRED', reason: '' };
    expect(
      await runOnce(
        store,
        keyed(),
        () => 0,
        async () => asks,
      ),
    ).toEqual(asks);
    expect(
      await runOnce(
        store,
        keyed(),
        () => 0,
        async () => ok,
      ),
    ).toEqual(ok);
  });
});
