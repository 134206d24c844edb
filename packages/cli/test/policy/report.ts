import type { ReplayReport } from '@agentgate/policy-engine';

const example = {
  event: 'evt_01m85dq28f4q0f43fhzg773acy',
  call: 'call_01m85dq28f4q0f43fhzg773acz',
  at: '2026-11-24T12:00:00.000Z',
  tenant: 'default',
  agent: 'demo',
  tool: 'filesystem/write_file',
  was: { action: 'allow', code: 'OK', rule: 'demo-writes' },
  now: {
    action: 'deny',
    code: 'ARGUMENT_NOT_ALLOWED',
    rule: 'demo-writes',
    reason: 'argument /path does not satisfy "under" of grant demo-writes: it is outside',
  },
} as const;

export const report = (more: Partial<ReplayReport> = {}): ReplayReport & { refused: number } => ({
  v: 1,
  policy: { revision: 'v2-0123456789ab', digest: 'a'.repeat(64), version: 2 },
  from: '2026-11-24T00:00:00.000Z',
  to: '2026-11-24T23:59:59.000Z',
  calls: 1_234,
  replayed: 1_200,
  same: 1_180,
  changes: { denied: 14, held: 4, allowed: 2, other_rule: 0 },
  groups: [
    { change: 'denied', rule: 'demo-writes', tenant: 'default', agent: 'demo', count: 14 },
    { change: 'held', rule: 'destructive/delete', tenant: 'default', agent: 'cleaner', count: 4 },
    { change: 'allowed', rule: 'crm-reads', tenant: 'acme', agent: 'eve', count: 2 },
  ],
  examples: { denied: [example] },
  settled_elsewhere: { KILLED_AGENT: 3, RATE_LIMITED: 11 },
  unfaithful: { calls: 20, because: { memory: 18, arguments: 5 } },
  by_exception: 1,
  refused: 0,
  ...more,
});
