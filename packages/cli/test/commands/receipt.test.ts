import type { IncidentRecord, KillReceipt } from '@agentgate/contracts';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { tellIncident } from '../../src/commands/incidents.ts';
import { tellReceipt, tellScope } from '../../src/commands/receipt.ts';

const ctx = { paint: pc.createColors(false) };
const receipt = (more: Partial<KillReceipt> = {}): KillReceipt => ({
  v: 1,
  epoch: 812,
  scope: { kind: 'session', id: 'ses_01m85dq28f4q0f43fhzg773acy' },
  ordered_at: '2026-03-01T03:00:00.120Z',
  contained: true,
  contained_in_ms: 4.2,
  points: [{ service: 'ingress', instance: 'a3b1de90dc0b', confirmed_in_ms: 1.9 }],
  calls: [],
  leases: { revoked: 0, irrevocable: [] },
  approvals: { voided: 0 },
  signature: 'x',
  ...more,
});
const call = (n: number, fate: KillReceipt['calls'][number]['fate']) => ({
  call: `call_${String(n).padStart(26, '0')}`,
  fate,
});

test('a thousand calls are a line, and those that may have run are named', () => {
  const calls = [
    ...Array.from({ length: 997 }, (_, n) => call(n, 'aborted')),
    call(997, 'completed'),
    call(998, 'unknown'),
  ];
  expect(tellReceipt(ctx, receipt({ calls })).split('\n').slice(2)).toEqual([
    '  999 calls in flight: 997 aborted, 1 completed, 1 unknown',
    `    ${call(998, 'unknown').call} may have run`,
    `    ${call(997, 'completed').call} had completed`,
  ]);
  const many = tellReceipt(ctx, receipt({ calls: Array.from({ length: 50 }, (_, n) => call(n, 'unknown')) }));
  expect(many.split('\n').at(-1)).toBe('    and 30 more (--json names all)');
});

test('what is not contained says who is silent, what may still be good, and what to do', () => {
  const told = tellReceipt(
    ctx,
    receipt({
      contained: false,
      points: [{ service: 'tool-runner', instance: 'r1', confirmed_in_ms: null }],
      leases: { revoked: 1, irrevocable: ['default/demo/crm-key/1'] },
    }),
  );
  expect(told.split('\n')).toEqual([
    'ordered, NOT contained: session ses_01m85dq28f4q0f43fhzg773acy, epoch 812, in 4.2 ms',
    '  ✗ tool-runner r1 did not confirm',
    '  1 lease revoked, each refused after',
    '  may still be good default/demo/crm-key/1',
    '  the order stands; the same kill again asks once more who did not confirm',
  ]);
});

test('says whose an agent is where it is not of the default tenant', () => {
  expect(tellScope({ kind: 'agent', id: 'demo', tenant: 'acme' })).toBe('agent demo of tenant acme');
  expect(tellScope({ kind: 'agent', id: 'demo', tenant: 'default' })).toBe('agent demo');
  expect(tellScope({ kind: 'global' })).toBe('everything');
});

const incident: IncidentRecord = {
  v: 1,
  id: 'inc_0123456789abcdef0123456789',
  rule: 'probing',
  kind: 'denials',
  scope: { kind: 'agent', id: 'demo', tenant: 'acme' },
  tenant: 'acme',
  agent: 'demo',
  reason: '4 refused calls within 60 s (rule probing), incident inc_0123456789abcdef0123456789',
  events: Array.from({ length: 4 }, (_, n) => `evt_01m85dq28f4q0f43fhzg773ac${n}`),
  caused_at: '2026-03-01T03:00:00.100Z',
  opened_at: '2026-03-01T03:00:00.110Z',
  state: 'contained',
  receipt: receipt({ scope: { kind: 'agent', id: 'demo', tenant: 'acme' } }),
  received_at: '2026-03-01T03:00:00.130Z',
  notes: [{ at: '2026-03-01T03:05:00.000Z', by: 'ann', text: 'called\u001b[2J its owner' }],
  evidence: {
    opened: 'evt_01m85dq28f4q0f43fhzg773ad0',
    ordered: 'evt_01m85dq28f4q0f43fhzg773ad1',
    contained: ['evt_01m85dq28f4q0f43fhzg773ad2'],
  },
};
test('an incident tells what led there, what became of it, and every event by what it is, each on a line of its own', () => {
  const lines = tellIncident(ctx, incident).split('\n');
  for (const id of [...incident.events, 'evt_01m85dq28f4q0f43fhzg773ad0', 'evt_01m85dq28f4q0f43fhzg773ad2'])
    expect(lines.filter((line) => line.includes(id))).toHaveLength(1);
  expect(lines).toContain('    ordered   evt_01m85dq28f4q0f43fhzg773ad1');
  expect(lines[0]).toBe('inc_0123456789abcdef0123456789  contained  agent demo of tenant acme');
  expect(lines[1]).toBe('  2026-03-01T03:00:00.110Z  4 refused calls within 60 s (rule probing)');
  expect(lines.every((line) => line.length <= 80)).toBe(true);
  const session = { kind: 'session', id: 'ses_01m85dq28f4q0f43fhzg773acy', tenant: 'acme' } as const;
  const reason = 'the canary tool was called '.repeat(18);
  const long = tellIncident({ ...ctx, columns: 80 }, { ...incident, scope: session, agent: 'demo', reason });
  expect(long.split('\n').filter((line) => line.includes(session.id))[0]).toMatch(
    /^ {2}session \S+ of tenant acme of agent demo$/,
  );
  expect(long.split('\n').every((line) => line.length <= 80)).toBe(true);
  // Nothing that somebody wrote moves the cursor.
  expect(lines.join('')).not.toContain('\u001b');
});
