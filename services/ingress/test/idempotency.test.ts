import { describe, expect, test } from 'vitest';
import type { Reply } from '../src/call-path.ts';
import { type Claim, type KeyedCall, type KeyStore, runOnce } from '../src/idempotency.ts';

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
    retake: async (at, standing, claim) => {
      const now = claims.get(at);
      if (now?.call !== standing.call || !now.reply) return false;
      claims.set(at, claim);
      return true;
    },
  };
  return { claims, store };
};
const keyed = (over: Partial<Claim> = {}, approval?: string): KeyedCall => ({
  at: 'idem:default:demo:k',
  claim: { call: 'call_0000000001', content: 'c1', until: 1_000, ...over },
  deadline: 500,
  approval,
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

  describe('that waits for a person', () => {
    const asks: Reply = {
      call: 'call_0000000001',
      status: 'approval_required',
      code: 'APPROVAL_REQUIRED',
      reason: '',
      approval: { id: 'apr_0000000001', expires_at: new Date(100).toISOString() },
    };
    const waiting = async () => {
      const { store } = memoryStore();
      const ask = (again: KeyedCall, run: () => Promise<Reply>, at = 0) => runOnce(store, again, () => at, run);
      expect(await ask(keyed(), async () => asks)).toEqual(asks);
      return ask;
    };
    const later = { call: 'call_0000000002' };
    const neverRuns = async () => expect.fail('it ran');

    test('gives the first reply to whoever asks again without the approval', async () => {
      const ask = await waiting();
      expect(await ask(keyed(later), neverRuns)).toEqual(asks);
    });

    test('runs once with the approval, however many ask at the same time, and keeps that reply', async () => {
      const ask = await waiting();
      let runs = 0;
      const run = async () => {
        runs++;
        await new Promise((resolve) => setTimeout(resolve, 20));
        return { ...ok, ...later };
      };
      const replies = await Promise.all([1, 2, 3].map(() => ask(keyed(later, 'apr_0000000001'), run)));
      expect(runs).toBe(1);
      expect(replies).toEqual(Array(3).fill({ ...ok, ...later }));
      expect(await ask(keyed({ call: 'call_0000000003' }), neverRuns)).toEqual({ ...ok, ...later });
    });

    test('may be asked with the approval until the person has answered', async () => {
      const ask = await waiting();
      const stillAsks = { ...asks, ...later };
      expect(await ask(keyed(later, 'apr_0000000001'), async () => stillAsks)).toEqual(stillAsks);
      expect(await ask(keyed({ call: 'call_0000000003' }, 'apr_0000000001'), async () => ok)).toEqual(ok);
    });

    test('is asked anew once nobody can approve it any more', async () => {
      const ask = await waiting();
      expect(await ask(keyed(later), async () => ok, 101)).toEqual(ok);
    });

    test('is refused with KEY_REUSED for other content, with the approval too', async () => {
      const ask = await waiting();
      for (const approval of [undefined, 'apr_0000000001'])
        await expect(ask(keyed({ ...later, content: 'c2' }, approval), neverRuns)).rejects.toMatchObject({
          code: 'KEY_REUSED',
        });
    });

    test('gives one reply to all who ask at the same time', async () => {
      const { store } = memoryStore();
      const run = async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        return asks;
      };
      const replies = await Promise.all([1, 2, 3].map(() => runOnce(store, keyed(), () => 0, run)));
      expect(replies).toEqual([asks, asks, asks]);
    });
  });
});
