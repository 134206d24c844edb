import { z } from 'zod';
import { code } from './codes.ts';
import { digest, name } from './names.ts';

// What policy decides and promises, and how it is signed.

const reason = z.string().max(2048);

/** An inclusion proof in a batch that was signed once (PROTOCOL.md, "An entry"). `path` and `sig` are base64, `root` is hex. */
export const seal = z.strictObject({
  keyid: z.string().max(64),
  root: digest,
  index: z.int().min(0),
  size: z.int().min(1),
  path: z.array(z.string().max(64)).max(32),
  sig: z.string().max(128),
});
export type Seal = z.infer<typeof seal>;

export const approvers = z.strictObject({ min: z.int().min(1).max(16), roles: z.array(name).max(16).optional() });

export const obligations = z.strictObject({
  // In canonical order, as they stand in a permit: it is serialized three times as fast so.
  approvers: approvers.optional(),
  credential: z
    .strictObject({ name, scope: z.string().max(1024).optional(), ttl_s: z.int().min(1).max(3600).optional() })
    .optional(),
  evidence: z.enum(['full', 'redacted', 'digest']).optional(),
  rate_limits: z
    .array(z.strictObject({ key: z.string().max(256), limit: z.int().min(0), window_s: z.int().min(1).max(86_400) }))
    .max(16)
    .optional(),
  redact: z
    .strictObject({
      arguments: z.array(z.string().max(512)).max(64).optional(),
      result: z.array(z.string().max(512)).max(64).optional(),
    })
    .optional(),
  taint: z.array(name).max(16).optional(),
  witnessed: z.boolean().optional(),
});
export type Obligations = z.infer<typeof obligations>;

export const decision = z.strictObject({
  action: z.enum(['allow', 'deny', 'require_approval']),
  code,
  obligations,
  reason,
  rule: z.string().max(256).optional(),
});
export type Decision = z.infer<typeof decision>;

export const policyRevision = z.strictObject({ digest, revision: z.string().max(128) });
export type PolicyRevision = z.infer<typeof policyRevision>;
