import { expect, test } from 'vitest';
import type { Happening } from '../src/happening.ts';
import { rulesOf } from './fixtures.ts';

const by = { tenant: 'default', agent: 'demo', session: 'ses_0000000001' };
const at = { id: 'evt_0000000001', at: 0 };
const happenings: Happening[] = [
  { ...at, kind: 'decided', by, tool: 'files/read', baits: [] },
  { ...at, kind: 'decided', by, tool: 'files/read', refused: 'NO_GRANT', baits: [] },
  { ...at, kind: 'decided', by, tool: 'files/read', baits: ['bait/key'] },
  { ...at, kind: 'completed', by, tool: 'files/read', failed: false, risk: [] },
  { ...at, kind: 'completed', by, tool: 'files/read', failed: true, risk: ['tool_error'] },
  { ...at, kind: 'leased', by, credential: 'decoy' },
  { ...at, kind: 'approval_rejected', by },
  { ...at, kind: 'anomaly', by, anomaly: 'orphan' },
  { ...at, kind: 'lifted', scope: 'agent:default:demo' },
];
const rules: [string, object, Happening['kind'][]][] = [
  ['no rule', {}, ['lifted']],
  ['denials', { denials: [{ id: 'r', count: 2, window_s: 60 }] }, ['decided', 'lifted']],
  ['a canary tool', { canaries: [{ id: 'bait', tools: ['files/*'] }] }, ['decided', 'leased', 'lifted']],
  ['a canary credential', { canaries: [{ id: 'bait', credentials: ['decoy'] }] }, ['decided', 'leased', 'lifted']],
  [
    'a breaker',
    { breakers: [{ id: 'r', tools: ['files/*'], window_s: 60, errors: { share: 0.5, calls: 4 } }] },
    ['completed', 'lifted'],
  ],
  ['anomalies', { anomalies: [{ id: 'r' }] }, ['anomaly', 'lifted']],
  ['risk', { risk: [{ id: 'r', limit: 5, half_life_s: 60 }] }, ['decided', 'completed', 'approval_rejected', 'lifted']],
];

test.each(rules)('of %s asks for the kinds of which it may want one, and for no other', (_, containment, kinds) => {
  const { asksFor, isWanted } = rulesOf(containment);
  expect([...new Set(happenings.map(({ kind }) => kind))].filter(asksFor)).toEqual(kinds);
  // A bait is only ever found where a rule says what is one.
  const possible = happenings.filter((h) => h.kind !== 'decided' || h.baits.length === 0 || asksFor('leased'));
  expect(possible.filter(isWanted).filter(({ kind }) => !asksFor(kind))).toEqual([]);
});
