import { type AlertEvent, alertEventNames, alertRecord, type EventData, eventSource } from '@agentgate/contracts';
import { describe, expect, test } from 'vitest';
import { alertNameOf, alertOf, plain } from '../src/payload.ts';
import { eventOf } from './fixtures.ts';

const sent = (name: AlertEvent, data: object, more = {}) => {
  const { body } = alertOf(name, eventOf(name, data, more));
  return JSON.parse(body) as { type: string; timestamp: string; data: Record<string, unknown> };
};
const receipt: EventData<'kill.contained'> = {
  v: 1,
  epoch: 812,
  scope: { kind: 'session', id: 'ses_0000000001' },
  ordered_at: '2026-01-01T00:00:00.000Z',
  contained: false,
  contained_in_ms: 2_000.4,
  points: [
    { service: 'ingress', instance: 'i1', confirmed_in_ms: 1.9 },
    { service: 'tool-runner', instance: 'r1', confirmed_in_ms: null },
  ],
  calls: [
    { call: 'call_0000000001', fate: 'aborted' },
    { call: 'call_0000000002', fate: 'unknown' },
  ],
  leases: { revoked: 2, irrevocable: ['default/demo/ses/prm'] },
  approvals: { voided: 1 },
  signature: 'c2lnbmF0dXJl',
};

test('has the form of Standard Webhooks, and says where to look in evidence', () => {
  const event = eventOf(
    'kill.ordered',
    { epoch: 7, scope: { kind: 'agent', id: 'demo', tenant: 'acme' }, reason: 'hijacked', by: 'olga' },
    { tenant: 'acme', agent: 'demo' },
  );
  expect(JSON.parse(alertOf('kill.ordered', event).body)).toEqual({
    type: 'agentgate.kill.ordered.v1',
    timestamp: '2026-01-01T00:00:00.000Z',
    data: {
      event: event.id,
      summary: 'agent demo killed by olga: hijacked',
      source: 'agentgate/kill-switch/k1',
      subject: 'agent demo',
      tenant: 'acme',
      agent: 'demo',
      scope: { kind: 'agent', id: 'demo', tenant: 'acme' },
      epoch: 7,
      by: 'olga',
      reason: 'hijacked',
    },
  });
});

test('of a receipt has counts, and names only what did not do its part', () => {
  expect(sent('kill.contained', receipt).data).toMatchObject({
    summary: 'NOT CONTAINED: session ses_0000000001; what did not answer or end is in the receipt',
    contained: false,
    contained_in_ms: 2_000.4,
    points: { confirmed: 1, silent: ['tool-runner/r1'] },
    calls: { aborted: 1, completed: 0, unknown: 1 },
    leases: { revoked: 2, irrevocable: 1, named: ['default/demo/ses/prm'] },
    approvals: { voided: 1 },
  });
  expect(sent('kill.contained', receipt).data).not.toHaveProperty('signature');
  expect(sent('kill.contained', { ...receipt, contained: true }).data.summary).toBe(
    'session ses_0000000001 contained in 2000.4 ms',
  );
});

test('of an incident says whether it is contained, and whom the order did not reach', () => {
  const data = {
    incident: 'inc_0000000001',
    scope: { kind: 'agent', id: 'demo' },
    contained: false,
    silent: ['tool-runner/r1'],
    irrevocable: ['default/demo/ses/prm'],
  };
  expect(sent('incident.contained', data).data).toMatchObject({
    summary: 'incident inc_0000000001: NOT CONTAINED: agent demo',
    silent: ['tool-runner/r1'],
    irrevocable: 1,
  });
});

test('lets nothing out that it does not know: no arguments, no purpose, no secret', () => {
  const data = {
    approval: 'apr_0000000001',
    call: 'call_0000000001',
    tool: 'crm/send',
    reason: 'a person has to see it',
    expires_at: '2026-01-01T00:15:00.000Z',
    arguments: { iban: 'S3CRET' },
    purpose: 'S3CRET',
    policy: { revision: 'S3CRET' },
    by: { name: 'S3CRET' },
    __proto__: { why: 'S3CRET' },
  };
  for (const name of alertEventNames) expect(JSON.stringify(sent(name, data)), name).not.toContain('S3CRET');
  expect(sent('approval.requested', data).data).toMatchObject({
    approval: 'apr_0000000001',
    summary: 'a person is asked about crm/send: a person has to see it',
  });
});

describe('whatever an event holds', () => {
  const long = '😀\u202e\n"'.repeat(5_000);
  const everything = Object.fromEntries(
    [
      'reason',
      'by',
      'problem',
      'detail',
      'about',
      'kind',
      'lease',
      'tool',
      'incident',
      'why',
      'rule',
      'credential',
      'call',
      'approval',
      'was',
      'accepted',
      'schema_digest',
      'expires_at',
      'ordered_at',
      'epoch',
      'tries',
      'contained',
      'contained_in_ms',
    ].map((key) => [key, long]),
  );
  test.each(alertEventNames)('an alert of %s fits its record and turns no text around', (name) => {
    const silent = Array.from({ length: 100 }, () => ({ service: long, instance: long, confirmed_in_ms: null }));
    const data = {
      ...everything,
      scope: { kind: 'agent', id: long, tenant: long },
      points: silent,
      leases: { irrevocable: silent.map(() => long) },
    };
    const { body } = alertOf(name, eventOf(name, data));
    expect(alertRecord.shape.body.safeParse(body).success, String(body.length)).toBe(true);
    expect(body).not.toMatch(/\u202e|\\n/);
  });

  test.each(alertEventNames)('an alert of %s is made of any shape', (name) => {
    for (const data of [{}, { scope: null, points: 5, leases: 'x', calls: [null] }, { scope: { kind: 'global' } }])
      expect(sent(name, data).data.summary).toEqual(expect.any(String));
  });
});

test('cuts by characters, never through one', () => {
  expect(plain('😀😀😀', 4)).toBe('😀…');
  expect(plain('ab', 2)).toBe('ab');
  expect(plain('a\ud800b')).toBe('a\ufffdb');
});

describe('whose word counts', () => {
  const from = (name: AlertEvent, service: string) =>
    alertNameOf(eventOf(name, {}, { source: `agentgate/${service}/x1` }));
  test('is the kill-switch’s on kills, the broker’s on leases, audit’s on evidence', () => {
    expect(from('kill.lifted', 'kill-switch')).toBe('kill.lifted');
    expect(from('lease.irrevocable', 'credential-broker')).toBe('lease.irrevocable');
    expect(from('evidence.anomaly', 'audit')).toBe('evidence.anomaly');
  });
  test.each(['ingress', 'tool-runner', 'policy', 'kill-switch-2', 'notifier'])('is not %s’s on kills', (service) => {
    expect(from('kill.lifted', service)).toBe('unentitled');
  });
  test('is asked for on nothing else', () => {
    expect(alertNameOf(eventOf('kill.ordered', {}, { type: 'agentgate.call.decided.v1' }))).toBeUndefined();
    expect(eventSource('kill-switch', 'x')).toBe('agentgate/kill-switch/x');
  });
});
