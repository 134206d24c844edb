import { z } from 'zod';
import { digest, epochMs, instance, name, timestamp } from './names.ts';
import { policyRevision } from './permit.ts';

// The life of a policy: bundles that were pushed, which of them is active, and what its engineers say and hear.

const v = z.literal(1);
const reason = z.string().min(1).max(512);

/** Of a pushed bundle, by its author; 0 stands for what agentgate.yaml says. A bundle is activated only over one with a lower version. */
export const policyVersion = z.int().min(0).max(2_147_483_647);
const pushedVersion = policyVersion.min(1);

/** Of a bundle's archive as it is pushed; a message is at most 8 MiB, and base64 takes a third more. */
export const maxBundleBytes = 4 * 1024 * 1024;

/** The value of key `bundle.<version>` of bucket POLICY. `bundle` is the SHA-256 of the archive, and its name in the object store. */
export const bundleRecord = z.strictObject({
  v,
  version: pushedVersion,
  bundle: digest,
  policy: policyRevision,
  bytes: z.int().min(1),
  by: name,
  at: timestamp,
});
export type BundleRecord = z.infer<typeof bundleRecord>;

/** The value of key `active`: what every replica has to decide by. Its revision in the bucket is the activation epoch. */
export const activeRecord = z.strictObject({
  v,
  version: policyVersion,
  /** Absent with version 0: the replicas have that one from agentgate.yaml. */
  bundle: digest.optional(),
  policy: policyRevision.optional(),
  action: z.enum(['activate', 'rollback']),
  by: name,
  at: timestamp,
  reason,
});
export type ActiveRecord = z.infer<typeof activeRecord>;

/** The value of key `turn`: one rollout at a time. A turn that was not given back is over at `until`. */
export const turnRecord = z.strictObject({ v, by: name, version: policyVersion, until: epochMs });
export type TurnRecord = z.infer<typeof turnRecord>;

/** The value of key `asked`, where two engineers have to agree (`dual_control`): who asked first. */
export const askedRecord = z.strictObject({ v, by: name, version: pushedVersion, bundle: digest, at: epochMs });
export type AskedRecord = z.infer<typeof askedRecord>;

export const policyPushAsk = z.strictObject({
  v,
  /** The archive, base64. */
  bundle: z.base64().max(Math.ceil(maxBundleBytes / 3) * 4),
});
/** `already_pushed`: the very same archive was there. */
export const policyPushAnswer = z.strictObject({
  v,
  status: z.enum(['pushed', 'already_pushed']),
  version: pushedVersion,
  bundle: digest,
  policy: policyRevision,
});
export const policyActivateAsk = z.strictObject({ v, version: pushedVersion, reason });
/** Without a version: the one that was active before. */
export const policyRollbackAsk = z.strictObject({ v, version: policyVersion.optional(), reason });
export const rolloutReplica = z.strictObject({
  instance,
  /** `silent`: it did not answer. It decides nothing until it has the active revision. */
  status: z.enum(['confirmed', 'refused', 'silent']),
  ms: z.number().min(0).optional(),
  problem: z.string().max(2048).optional(),
});
export type RolloutReplica = z.infer<typeof rolloutReplica>;
/**
 * `activated`: every replica confirmed. `incomplete`: it is active, and `replicas` names who did not confirm. `refused`: a replica refused
 * the bundle, so nothing changed. `conflict`: somebody else was first, so nothing changed.
 */
export const policyRolloutAnswer = z.strictObject({
  v,
  status: z.enum(['activated', 'incomplete', 'refused', 'conflict', 'pending_second']),
  version: policyVersion,
  /** The epoch that holds now. */
  epoch: z.int().min(0),
  replicas: z.array(rolloutReplica).max(1024),
  problem: z.string().max(2048).optional(),
});
export type PolicyRolloutAnswer = z.infer<typeof policyRolloutAnswer>;

/** The archive as it was pushed: of a version, or of the one that is active. */
export const policyBundleAsk = z.strictObject({ v, version: pushedVersion.optional() });
/** Without a bundle: agentgate.yaml decides. */
export const policyBundleAnswer = z.strictObject({
  v,
  version: policyVersion,
  bundle: policyPushAsk.shape.bundle.optional(),
});

export const policyHistoryAsk = z.strictObject({ v });
const activation = z.strictObject({ ...activeRecord.shape, epoch: z.int().min(1) });
/** The newest first; what is older than these stands in evidence. */
export const policyHistoryAnswer = z.strictObject({
  v,
  active: z.strictObject({ version: policyVersion, epoch: z.int().min(0), policy: policyRevision.optional() }),
  activations: z.array(activation).max(64),
  bundles: z.array(bundleRecord).max(256),
  replicas: z.array(z.strictObject({ instance, epoch: z.int().min(0), silent_ms: z.int().min(0) })).max(1024),
});
export type PolicyHistory = z.infer<typeof policyHistoryAnswer>;
