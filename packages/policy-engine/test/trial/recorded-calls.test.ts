import { describe, expect, test } from 'vitest';
import { allowed, callsOf, decided, event, opened, session } from './events.ts';

describe('createHistory', () => {
  test('joins a call with its session: purpose, age, and how many calls there were', () => {
    const [first, second] = callsOf(
      opened('tidy up'),
      decided({ decision: { action: 'deny', code: 'NO_GRANT', reason: '', obligations: {} } }),
      decided({}, { time: '2026-11-24T12:00:05.000Z' }),
    );
    expect(first?.facts).toMatchObject({ purpose: 'tidy up', calls: 1, denied: 0 });
    expect(second?.facts).toMatchObject({ calls: 2, denied: 1, openedAt: Date.parse('2026-11-24T12:00:00Z') });
    expect([first?.opened, first?.remembers, second?.remembers]).toEqual([true, false, false]);
  });

  test('gives a session and its agent the taint that allowed calls left, until an operator took it off', () => {
    const tainting = { ...allowed(), obligations: { taint: ['private'] } };
    const other = { session: 'ses_0000000002' };
    const [, after, elsewhere, cleared] = callsOf(
      opened(),
      decided({ decision: tainting }),
      decided(),
      decided({}, other),
      event('session.cleared', { on: { session, agent: 'demo' }, labels: ['private'], by: 'ann', reason: '' }),
      decided(),
    );
    expect(after?.facts.taint).toEqual({ session: ['private'], agent: ['private'] });
    expect(elsewhere?.facts.taint).toEqual({ session: [], agent: ['private'] });
    expect(cleared?.facts.taint).toEqual({ session: [], agent: [] });
  });

  test('gives a call that passed by a person’s word that word, and one that waits for it none', () => {
    const approval = 'apr_0000000001';
    const [waits, passed] = callsOf(
      decided({
        approval,
        decision: { action: 'require_approval', code: 'APPROVAL_REQUIRED', reason: '', obligations: {} },
      }),
      event('approval.granted', { approval, call: 'call_0000000001', by: 'bob' }),
      decided({ approval }),
    );
    expect(waits?.approval).toBeNull();
    expect(passed?.approval).toMatchObject({ granted: true, by: 'bob' });
  });

  test('says what evidence does not hold: a session whose beginning was not read, arguments, values taken out', () => {
    const [call] = callsOf(
      decided({
        arguments: undefined,
        arguments_digest: { sha256: '0'.repeat(64), bytes: 9 },
        redacted: ['/to'],
      }),
    );
    expect(call).toMatchObject({ opened: false, remembers: true, redacted: ['/to'] });
    expect(call).not.toHaveProperty('arguments');
  });

  test('leaves out what is not in form, and events of other kinds', () => {
    expect(callsOf(decided({ tool: 'no slash' } as never), event('kill.lifted', {} as never))).toEqual([]);
  });
});
