import { type CatalogTool, limits, type PermitClaims, type ToolPin } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { heldByInvariant, type PermitSubject } from '../src/invariants.ts';

const at = 1_700_000_000_000;
const definition = { name: 'fs/read', description: 'Reads.', input_schema: {}, annotations: {} };
const tool: CatalogTool = { v: 1, ...definition, schema_digest: 'b'.repeat(64), seen_at: '2026-01-01T00:00:00Z' };
const seen = { schema_digest: tool.schema_digest, definition, flags: [], at: tool.seen_at };
const pin: ToolPin = { v: 1, tool: tool.name, accepted: { ...seen, by: 'first use' } };
const waiting = { ...seen, schema_digest: 'c'.repeat(64), why: 'changed' as const, state: 'waiting' as const };
const claims: PermitClaims = {
  v: 1,
  id: 'prm_0000000001',
  call: 'call_0000000001',
  tenant: 'default',
  agent: 'demo',
  session: 'ses_0000000001',
  subject: { id: 'sub_0000000001', person: 'ann' },
  tool: tool.name,
  call_digest: 'a'.repeat(64),
  policy: { revision: 'r', digest: 'a'.repeat(64) },
  schema_digest: tool.schema_digest,
  issued_at: at,
  expires_at: at + 5_000,
  deadline: at + 30_000,
  obligations: {},
};
const approvedBy = (...by: string[]): Partial<PermitClaims> => ({
  approval: {
    claims: {
      approval: 'apr_0000000001',
      binding: 'a'.repeat(64),
      by,
      call: claims.call,
      expires_at: at,
      granted_at: at,
      v: 1,
    },
    seal: { keyid: '', root: 'a'.repeat(64), index: 0, size: 1, path: [], sig: '' },
  },
});
const held = (change: Partial<PermitSubject>) => heldByInvariant({ claims, tool, pin, ...change });
const heldClaims = (change: Partial<PermitClaims>) => held({ claims: { ...claims, ...change } });

test('a permit of which all invariants hold may be signed', () => {
  expect(held({})).toBeUndefined();
  expect(heldClaims(approvedBy('bob'))).toBeUndefined();
  expect(heldClaims({ expires_at: at + limits.permitTtlMaxMs })).toBeUndefined();
});

test.each<[string, string, string, Partial<PermitSubject>]>([
  ['UNKNOWN_TOOL', 'tool fs/read is not known', 'a tool that is gone', { tool: undefined }],
  ['TOOL_QUARANTINED', 'tool fs/read is not pinned yet', 'a tool without a pin', { pin: undefined }],
  [
    'TOOL_QUARANTINED',
    'tool fs/read is quarantined until an operator has looked at it: its definition has changed',
    'a tool that waits, although its server lists what was accepted',
    { pin: { ...pin, offered: waiting } },
  ],
  [
    'TOOL_QUARANTINED',
    'tool fs/read is now defined otherwise than it was accepted',
    'a tool that is listed otherwise than it was accepted',
    { tool: { ...tool, schema_digest: 'c'.repeat(64) } },
  ],
  [
    'TOOL_QUARANTINED',
    'tool fs/read was rejected by an operator',
    'a rejected tool',
    { pin: { v: 1, tool: tool.name } },
  ],
])('%s: %s: %s', (code, reason, _, change) => expect(held(change)).toMatchObject({ action: 'deny', code, reason }));

test.each<[string, string, string, Partial<PermitClaims>]>([
  [
    'TOOL_QUARANTINED',
    'tool fs/read was defined anew while the call was decided',
    'a definition that was accepted since the engine was asked',
    { schema_digest: 'c'.repeat(64) },
  ],
  [
    'APPROVAL_INVALID',
    'approval: who asks does not approve',
    'an approval by the agent itself',
    approvedBy('bob', 'demo'),
  ],
  [
    'APPROVAL_INVALID',
    'approval: who asks does not approve',
    'an approval by the person that the agent acts for',
    approvedBy('ann'),
  ],
  ['POLICY_INVALID', 'no permit lives longer than 30000 ms', 'a permit longer than 30 s', { expires_at: at + 30_001 }],
  ['POLICY_INVALID', 'no permit lives longer than 30000 ms', 'a permit whose time is none', { expires_at: Number.NaN }],
])('%s: %s: %s', (code, reason, _, change) =>
  expect(heldClaims(change)).toMatchObject({ action: 'deny', code, reason }),
);
