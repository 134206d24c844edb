import { z } from 'zod';
import { approvalId, callId, digest, epochMs, json, name, sessionId, timestamp, toolName } from './names.ts';
import { approvers, policyRevision, seal } from './permit.ts';

// An approval: a person's word on exactly one call. Its record is the value of a key of KV bucket APPROVALS.

const v = z.literal(1);
const reason = z.string().max(512);

/** `expired`, `voided`, `rejected` and `consumed` are ends. */
export const approvalState = z.enum(['pending', 'granted', 'rejected', 'expired', 'voided', 'consumed']);
export type ApprovalState = z.infer<typeof approvalState>;

/** What a person is asked. Texts are bounded, and shown with what cannot be seen made visible. */
export const approvalQuestion = z.strictObject({
  tenant: name,
  agent: name,
  session: sessionId,
  call: callId,
  tool: toolName,
  arguments: json,
  /** Of the tool as it is now: another schema is another tool. */
  schema_digest: digest,
  policy: policyRevision,
  rule: z.string().max(256).optional(),
  /** Why policy asks. */
  reason: z.string().max(2048),
  /** What the agent's user asked for. */
  purpose: z.string().max(8192),
  /** Where the arguments' values came from (`input.provenance`). */
  provenance: z.record(z.string().max(512), z.array(z.string().max(512)).max(64)),
  /** What the call does, and which hosts it names. */
  labels: z.array(name).max(32),
  hosts: z.array(z.string().max(256)).max(65),
  approvers,
});
export type ApprovalQuestion = z.infer<typeof approvalQuestion>;

export const approvalRecord = z.strictObject({
  v,
  id: approvalId,
  state: approvalState,
  /** SHA-256 of what it is for (`approvalBinding`): change one byte and it is for nothing. */
  binding: digest,
  question: approvalQuestion,
  /** Pointers of arguments that differ from the last call that was granted to this agent with this tool; absent where there was none. */
  changed: z.array(z.string().max(512)).max(64).optional(),
  requested_at: timestamp,
  expires_at: timestamp,
  decisions: z
    .array(
      z.strictObject({ by: name, at: timestamp, verdict: z.enum(['granted', 'rejected']), reason: reason.optional() }),
    )
    .max(16),
  consumed_by: callId.optional(),
});
export type ApprovalRecord = z.infer<typeof approvalRecord>;

/** What the approvals service signs once it has taken an approval for a call: domain `agentgate-approval-v1`, line `approvals`. */
export const grantClaims = z.strictObject({
  approval: approvalId,
  binding: digest,
  by: z.array(name).min(1).max(16),
  call: callId,
  /** Milliseconds since the epoch. */
  expires_at: epochMs,
  granted_at: epochMs,
  v,
});
export type GrantClaims = z.infer<typeof grantClaims>;
export const approvalGrant = z.strictObject({ claims: grantClaims, seal });
export type ApprovalGrant = z.infer<typeof approvalGrant>;
export const approvalDomain = 'agentgate-approval-v1';
export const approvalLines = ['approvals'];

/** Longest arguments that a person is asked about, as canonical JSON, in bytes. */
export const maxApprovalArguments = 64 * 1024;
