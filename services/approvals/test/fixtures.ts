import {
  AgentGateError,
  type ApprovalQuestion,
  type EventDraft,
  type GrantClaims,
  type Scope,
} from '@agentgate/contracts';
import { createApprovalIndex } from '../src/approval-index.ts';
import type { Held, Records } from '../src/ports.ts';
import { type Approvals, createApprovals } from '../src/service.ts';

export const question = (more: Partial<ApprovalQuestion> = {}): ApprovalQuestion => ({
  tenant: 'default',
  agent: 'demo',
  session: 'ses_0000000001',
  call: 'call_0000000001',
  tool: 'fs/write',
  arguments: { path: '/srv/a', text: 'x' },
  schema_digest: 'a'.repeat(64),
  policy: { revision: 'r1', digest: 'b'.repeat(64) },
  rule: 'ask-first',
  reason: 'a person has to see it',
  purpose: 'write a',
  provenance: {},
  labels: ['write'],
  hosts: [],
  approvers: { min: 1 },
  ...more,
});

/** Records in memory, with compare-and-set as the bucket has it. */
export const createFakeRecords = () => {
  const all = new Map<string, Held>();
  let revision = 0;
  const records: Records = {
    create: async (record) => {
      if (all.has(record.id)) return 'conflict';
      all.set(record.id, { record, revision: ++revision });
      return revision;
    },
    update: async (record, expected) => {
      if (all.get(record.id)?.revision !== expected) return 'conflict';
      all.set(record.id, { record, revision: ++revision });
      return revision;
    },
    read: async (id) => all.get(id),
  };
  return { all, records };
};

export const createWorld = (more: { records?: Records; ttlMs?: number } = {}) => {
  const fake = createFakeRecords();
  const world = {
    ...fake,
    at: Date.parse('2026-01-01T00:00:00Z'),
    events: [] as EventDraft[],
    evidenceFails: false,
    killed: undefined as Scope | undefined,
    sealed: [] as GrantClaims[],
    index: createApprovalIndex(),
    approvals: undefined as unknown as Approvals,
  };
  let ids = 0;
  world.approvals = createApprovals({
    records: more.records ?? fake.records,
    index: world.index,
    evidence: {
      record: async (draft) => {
        if (world.evidenceFails) throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'late');
        world.events.push(draft);
        return 'evt_0000000001';
      },
    },
    grants: {
      seal: (claims) => {
        world.sealed.push(claims);
        return { claims, seal: { keyid: '', root: '', index: 0, size: 1, path: [], sig: '' } };
      },
    },
    kills: { check: () => ({ epoch: 1, ...(world.killed && { killed: { scope: world.killed, reason: 'stop' } }) }) },
    newId: () => `apr_${String(++ids).padStart(10, '0')}`,
    now: () => world.at,
    ttlMs: more.ttlMs ?? 900_000,
    rolesOf: (person) => (person === 'fin' ? ['finance'] : []),
  });
  return world;
};
