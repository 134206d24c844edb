import { z } from 'zod';
import { fate } from './agent.ts';
import {
  approvalId,
  callId,
  digest,
  instance,
  json,
  limits,
  name,
  serviceName,
  sessionId,
  timestamp,
  toolName,
} from './names.ts';
import { approvers } from './permit.ts';
import { quarantineReason, toolDefinition, toolFlags } from './tool-pin.ts';

// What an operator says and hears (PROTOCOL.md, "Operators"). In CORE the subject is ops.v1.<person>.<verb>, imported by account OPS only.

const v = z.literal(1);

/** What a kill covers. `tenant` defaults to `default` for an agent, and to every tenant for a session or a tool. */
export const scope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('session'), id: sessionId, tenant: name.optional() }),
  z.strictObject({ kind: z.literal('agent'), id: name, tenant: name.optional() }),
  z.strictObject({ kind: z.literal('tool'), id: toolName, tenant: name.optional() }),
  z.strictObject({ kind: z.literal('tenant'), id: name }),
  z.strictObject({ kind: z.literal('global') }),
]);
export type Scope = z.infer<typeof scope>;

const reason = z.string().min(1).max(limits.reasonLength);

export const killAsk = z.strictObject({
  v,
  scope,
  reason,
  expires_in_ms: z.int().min(1).max(31_536_000_000).optional(),
});
export const containmentPoint = z.strictObject({
  /** `nats-server` where an agent was killed: it cut the agent's connections. */
  service: z.union([serviceName, z.literal('nats-server')]),
  instance,
  confirmed_in_ms: z.number().min(0).nullable(),
});
export type ContainmentPoint = z.infer<typeof containmentPoint>;
/** The receipt's signature is Ed25519 over `agentgate-receipt-v1\n` and the canonical form (RFC 8785) of the receipt without `signature`; base64. */
export const killReceipt = z.strictObject({
  v,
  epoch: z.int().min(1),
  scope,
  ordered_at: timestamp,
  contained: z.boolean(),
  contained_in_ms: z.number().min(0),
  points: z.array(containmentPoint),
  calls: z.array(z.strictObject({ call: callId, fate })),
  leases: z.strictObject({ revoked: z.int().min(0), irrevocable: z.array(z.string()) }),
  approvals: z.strictObject({ voided: z.int().min(0) }),
  signature: z.string(),
});
export type KillReceipt = z.infer<typeof killReceipt>;

export const liftAsk = z.strictObject({ v, scope, reason });
export const liftAnswer = z.strictObject({
  v,
  status: z.enum(['lifted', 'not_killed', 'pending_second']),
  epoch: z.int().min(0),
});

export const killsAsk = z.strictObject({ v });
export const activeKill = z.strictObject({
  scope,
  reason,
  by: z.string(),
  at: timestamp,
  epoch: z.int().min(1),
  expires_at: timestamp.optional(),
});
export type ActiveKill = z.infer<typeof activeKill>;
export const killsAnswer = z.strictObject({ v, epoch: z.int().min(0), kills: z.array(activeKill) });

/** Whose a session is. One that policy does not know (any more) is refused as UNKNOWN_SESSION. */
export const sessionOwnerAsk = z.strictObject({ v, session: sessionId });
export const sessionOwnerAnswer = z.strictObject({
  v,
  session: sessionId,
  tenant: name,
  agent: name,
  opened_at: timestamp,
  expires_at: timestamp,
});
export type SessionOwnerAnswer = z.infer<typeof sessionOwnerAnswer>;

/** Takes taint labels off a session, an agent or both; without `labels`, all of them. */
export const clearTaintAsk = z
  .strictObject({
    v,
    tenant: name.optional(),
    agent: name.optional(),
    session: sessionId.optional(),
    labels: z.array(name).min(1).max(64).optional(),
    reason,
  })
  .refine((ask) => ask.agent !== undefined || ask.session !== undefined, 'names neither an agent nor a session');
export type ClearTaintAsk = z.infer<typeof clearTaintAsk>;
export const clearTaintAnswer = z.strictObject({
  v,
  status: z.enum(['cleared', 'not_tainted', 'not_found']),
  cleared: z.array(name),
});
export type ClearTaintAnswer = z.infer<typeof clearTaintAnswer>;

export const approvalsAsk = z.strictObject({ v, tenant: name.optional() });
/** `id` to `expires_at` of PROTOCOL.md, and what makes the question honest. */
export const pendingApproval = z.strictObject({
  id: approvalId,
  call: callId,
  tool: toolName,
  arguments: json,
  agent: name,
  session: sessionId,
  reason: z.string().max(2048),
  expires_at: timestamp,
  tenant: name,
  rule: z.string().max(256).optional(),
  purpose: z.string().max(8192),
  provenance: z.record(z.string(), z.array(z.string())),
  labels: z.array(name),
  hosts: z.array(z.string()),
  changed: z.array(z.string()).optional(),
  approvers,
  granted_by: z.array(name),
});
export type PendingApproval = z.infer<typeof pendingApproval>;
/** The oldest first; `more` are left out of the answer. */
export const approvalsAnswer = z.strictObject({
  v,
  pending: z.array(pendingApproval),
  more: z.int().min(1).optional(),
});
export const approveAsk = z.strictObject({ v, approval: approvalId, reason: z.string().max(512).optional() });
/** `pending_second`: more than one person has to grant it, and another one is still to come. */
export const approveAnswer = z.strictObject({
  v,
  status: z.enum(['granted', 'rejected', 'expired', 'voided', 'already_decided', 'pending_second']),
});
export type ApproveAnswer = z.infer<typeof approveAnswer>;

/** `prefix` is a lease's id or its first parts: `default/crm-bot` is every lease of that agent. */
const leasePrefix = z
  .string()
  .max(512)
  .regex(/^[^/\s]+(\/[^/\s]+)*$/, 'must be a lease or its first parts, such as default/<agent>');
export const leasesAsk = z.strictObject({ v, prefix: leasePrefix.optional() });
export const openLease = z.strictObject({
  lease: z.string(),
  credential: name,
  provider: z.string(),
  scope: z.string().optional(),
  person: z.string().optional(),
  tool: toolName,
  state: z.enum(['intended', 'active', 'revoking', 'irrevocable']),
  created_at: timestamp,
  expires_at: timestamp,
  /** Why it does not end. */
  problem: z.string().optional(),
});
export type OpenLease = z.infer<typeof openLease>;
/** What is not over yet, the oldest first; `more` are left out of the answer. */
export const leasesAnswer = z.strictObject({ v, leases: z.array(openLease), more: z.int().min(1).optional() });
export const revokeLeasesAsk = z.strictObject({ v, prefix: leasePrefix, reason });
export const revokeLeasesAnswer = z.strictObject({
  v,
  /** Ended, and each proven as far as its provider lets prove it. */
  revoked: z.int().min(0),
  unproven: z.int().min(0),
  /** Not ended yet; the broker goes on trying. */
  failed: z.array(z.strictObject({ lease: z.string(), problem: z.string() })).max(64),
  ms: z.number().min(0),
});
/** A person has ended an irrevocable lease at its provider by other means, and says how. */
export const resolveLeaseAsk = z.strictObject({ v, lease: leasePrefix, reason });
export const resolveLeaseAnswer = z.strictObject({ v, status: z.enum(['resolved', 'not_irrevocable', 'not_found']) });
export const testCredentialAsk = z.strictObject({ v, credential: name });
export const testStep = z.strictObject({
  step: z.enum(['mint', 'use', 'revoke', 'refused']),
  status: z.enum(['ok', 'failed', 'unprovable']),
  ms: z.number().min(0),
  detail: z.string(),
});
export const testCredentialAnswer = z.strictObject({ v, ok: z.boolean(), steps: z.array(testStep) });
export type TestCredentialAnswer = z.infer<typeof testCredentialAnswer>;

export const toolsAskOfOperator = z.strictObject({ v });
/** `rejected`: its server lists only what an operator rejected. `accepted` and `offered` are digests of definitions. */
export const toolState = z.strictObject({
  tool: toolName,
  state: z.enum(['pinned', 'quarantined', 'rejected']),
  /** Whether its server lists it now. */
  listed: z.boolean(),
  accepted: digest.optional(),
  offered: digest.optional(),
  /** Why it waits. */
  why: quarantineReason.optional(),
  /** Of what is offered, else of what was accepted. */
  flags: toolFlags,
  /** Of the newest of the two. */
  at: timestamp,
  /** Who accepted, or rejected, the newest of the two. */
  by: z.string().max(128).optional(),
});
export type ToolState = z.infer<typeof toolState>;
/** What waits first; `more` are left out of the answer. */
export const toolStates = z.strictObject({ v, tools: z.array(toolState), more: z.int().min(1).optional() });
export const toolAsk = z.strictObject({ v, tool: toolName });
/** Both definitions in full, for whoever has to decide between them. */
export const toolShown = z.strictObject({
  v,
  state: toolState,
  accepted: toolDefinition.optional(),
  offered: toolDefinition.optional(),
});
export type ToolShown = z.infer<typeof toolShown>;
/** `schema_digest` is of the definition that was shown: no other is accepted by accident. */
export const toolVerdictAsk = z.strictObject({ v, tool: toolName, schema_digest: digest, reason: reason.optional() });
export type ToolVerdictAsk = z.infer<typeof toolVerdictAsk>;
/** `not_offered`: what waits is another definition, or nothing. `pinned_by_file`: agentgate.yaml names another digest. */
export const toolVerdictAnswer = z.strictObject({
  v,
  status: z.enum(['accepted', 'rejected', 'not_offered', 'pinned_by_file', 'not_found']),
});
export type ToolVerdictAnswer = z.infer<typeof toolVerdictAnswer>;
