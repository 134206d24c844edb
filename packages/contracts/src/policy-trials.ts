import { z } from 'zod';
import { code } from './codes.ts';
import { condition, pointer } from './condition.ts';
import { callId, digest, epochMs, exceptionId, instance, name, timestamp, toolName } from './names.ts';
import { policyRevision } from './permit.ts';
import { policyVersion } from './policy-revisions.ts';

// What decides beside the active policy, without effect (shadow), and what an operator lets pass for a while (exceptions).

const v = z.literal(1);
const reason = z.string().min(1).max(512);

// --- exceptions ---------------------------------------------------------------------------------------------------

export const exceptionLimits = { minS: 10, maxS: 7 * 86_400, active: 64, tools: 16 } as const;

/** Conditions are judged where calls are decided, and not in a worker that can be ended: patterns are left out. */
const exceptionWhere = z
  .record(pointer, condition)
  .refine((where) => Object.keys(where).length <= 16, 'holds more than 16 conditions')
  .refine(
    (where) => Object.values(where).every((each) => each.matches === undefined && each.each?.matches === undefined),
    'an exception has no "matches": name the values with equals or one_of',
  );
const covered = {
  tenant: name,
  /** One agent, and tools by their full names: never a pattern. */
  agent: name,
  tools: z.array(toolName).min(1).max(exceptionLimits.tools),
  where: exceptionWhere.optional(),
};

/** A grant that ends by itself. `owner` answers for it, `by` is the operator who made it, as NATS enforced the name. */
export const policyException = z.strictObject({
  id: exceptionId,
  ...covered,
  owner: z.string().min(1).max(128),
  reason,
  by: name,
  /** Who asked for it first, where two operators have to. */
  asked_by: name.optional(),
  at: timestamp,
  until: timestamp,
});
export type PolicyException = z.infer<typeof policyException>;

/** The value of key `exceptions` of bucket POLICY: all that stand, in one record, so that every replica has all or knows that it does not. */
export const exceptionsRecord = z.strictObject({ v, exceptions: z.array(policyException).max(exceptionLimits.active) });
/** The value of key `exception-asked`, where two operators have to agree (`dual_control`): who asked first, for what. */
export const exceptionAskedRecord = z.strictObject({ v, by: name, wanted: digest, at: epochMs });
export type ExceptionAskedRecord = z.infer<typeof exceptionAskedRecord>;
export type ExceptionsRecord = z.infer<typeof exceptionsRecord>;

export const policyExceptAsk = z.strictObject({
  v,
  ...covered,
  tenant: name.default('default'),
  /** Default: who asks. */
  owner: policyException.shape.owner.optional(),
  reason,
  for_s: z.int().min(exceptionLimits.minS).max(exceptionLimits.maxS),
});
export type PolicyExceptAsk = z.infer<typeof policyExceptAsk>;
/** `pending_second`: another operator has to ask the same within five minutes. */
export const policyExceptAnswer = z.strictObject({
  v,
  status: z.enum(['added', 'pending_second']),
  exception: policyException.optional(),
});
export type PolicyExceptAnswer = z.infer<typeof policyExceptAnswer>;
export const policyExceptionsAsk = z.strictObject({ v });
/** The one that ends first stands first. */
export const policyExceptionsAnswer = z.strictObject({ v, exceptions: z.array(policyException) });
export const policyExceptEndAsk = z.strictObject({ v, exception: exceptionId, reason });
export const policyExceptEndAnswer = z.strictObject({ v, status: z.enum(['ended', 'not_found']) });

// --- shadow -------------------------------------------------------------------------------------------------------

/** The value of key `shadow` of bucket POLICY. Without a version nothing decides in the shadow. */
export const shadowRecord = z.strictObject({
  v,
  version: policyVersion.optional(),
  /** Absent with version 0: what agentgate.yaml says. */
  bundle: digest.optional(),
  policy: policyRevision.optional(),
  by: name,
  at: timestamp,
  reason,
});
export type ShadowRecord = z.infer<typeof shadowRecord>;

/** What a revision would have said, and no more of the call than its id. */
export const shadowVerdict = z.strictObject({
  action: z.enum(['allow', 'deny', 'require_approval']),
  code,
  rule: z.string().max(256).optional(),
});
export type ShadowVerdict = z.infer<typeof shadowVerdict>;
export const shadowDifference = z.strictObject({
  /** Counts up in each replica. */
  seq: z.int().min(1),
  call: callId,
  at: timestamp,
  active: shadowVerdict,
  shadow: shadowVerdict,
  /** The shadow weighs other facts than the active policy, and read them after the call had left its traces. */
  late_facts: z.literal(true).optional(),
});
export type ShadowDifference = z.infer<typeof shadowDifference>;
const count = z.int().min(0);
export const shadowTotals = z.strictObject({
  decided: count,
  differed: count,
  /** It gave no decision: it hung, threw, or had no worker. */
  failed: count,
  /** Not asked, because too many were waiting for it. */
  dropped: count,
  /** The differences by what both said; what is beyond 64 kinds stands in `differed` alone. */
  kinds: z.array(z.strictObject({ active: shadowVerdict, shadow: shadowVerdict, count })).max(64),
});
export type ShadowTotals = z.infer<typeof shadowTotals>;
export const shadowReplica = z.strictObject({
  instance,
  state: z.enum(['off', 'loading', 'on', 'failed', 'gave_up']),
  version: policyVersion.optional(),
  problem: z.string().max(2048).optional(),
  totals: shadowTotals,
});
export type ShadowReplica = z.infer<typeof shadowReplica>;
/** What each replica was last heard to have told, by its instance. */
export const shadowCursor = z.record(instance, count);

/** `version: null` switches it off. */
export const policyShadowAsk = z.strictObject({ v, version: policyVersion.nullable(), reason });
export const policyShadowAnswer = z.strictObject({
  v,
  status: z.enum(['shadowing', 'off']),
  version: policyVersion.optional(),
  policy: policyRevision.optional(),
});
export const policyDiffAsk = z.strictObject({ v, after: shadowCursor.optional() });
export const policyDiffAnswer = z.strictObject({
  v,
  shadow: shadowRecord.optional(),
  replicas: z.array(shadowReplica).max(1024),
  /** In the order of time; what did not fit, or was pushed out before it was asked for, is counted in `missed`. */
  differences: z.array(z.strictObject({ instance, ...shadowDifference.shape })).max(1024),
  missed: count,
  after: shadowCursor,
});
export type PolicyDiffAnswer = z.infer<typeof policyDiffAnswer>;
