import { expect, test } from 'vitest';
import { intendedLease } from '../src/lease.ts';
import { createLeaseIndex } from '../src/lease-index.ts';
import { askOf, claimsOf, start } from './fixture.ts';

const recordOf = (agent = 'demo') => {
  const ask = askOf({ claims: claimsOf({ agent }) });
  return intendedLease(
    ask,
    ask.permit.claims,
    { credential: 'crm-key', provider: 'static', scope: undefined, reuse: 'call', expiresAt: start + 1_000 },
    start,
  );
};

test('keeps the newest revision, whatever order they come in', () => {
  const index = createLeaseIndex();
  const record = recordOf();
  index.put({ record: { ...record, state: 'active' }, revision: 5 });
  index.put({ record, revision: 4 });
  expect(index.get(record.permit)?.record.state).toBe('active');
});

test('forgets a lease that ended, but not by an older revision than it knows', () => {
  const index = createLeaseIndex();
  const record = recordOf();
  index.put({ record, revision: 4 });
  index.put({ record: { ...record, state: 'revoked' }, revision: 3 });
  index.drop(record.permit, 3);
  expect(index.all()).toHaveLength(1);
  index.put({ record: { ...record, state: 'revoked' }, revision: 5 });
  expect(index.all()).toEqual([]);
  expect(index.countOf({ tenant: 'default', agent: 'demo' }, start)).toBe(0);
});

test('counts the leases of one agent that have not run out', () => {
  const index = createLeaseIndex();
  for (const agent of ['demo', 'demo', 'other']) index.put({ record: recordOf(agent), revision: 1 });
  expect(index.countOf({ tenant: 'default', agent: 'demo' }, start + 999)).toBe(2);
  expect(index.countOf({ tenant: 'default', agent: 'demo' }, start + 1_000)).toBe(0);
  expect(index.countOf({ tenant: 'other', agent: 'demo' }, start)).toBe(0);
});

test('counts what could not be ended, though its time is over', () => {
  const index = createLeaseIndex();
  const ending = { why: 'released' as const, tries: 1, next_at: new Date(start).toISOString() };
  index.put({ record: { ...recordOf('demo'), state: 'revoking', ending }, revision: 1 });
  index.put({ record: { ...recordOf('demo'), state: 'irrevocable', ending }, revision: 1 });
  expect(index.countOf({ tenant: 'default', agent: 'demo' }, start + 9_000)).toBe(2);
});
