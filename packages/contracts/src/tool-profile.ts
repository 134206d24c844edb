import { z } from 'zod';
import { name } from './names.ts';

// What an operator says of tools (`tools` in agentgate.yaml): what they do, and what their results count as.

/** A JSON pointer (RFC 6901) in which a token `*` stands for any member; empty for the whole. */
export const pointerPattern = z
  .string()
  .max(512)
  .regex(/^(\/([^~/]|~[01])*)*$/, 'must be a JSON pointer (RFC 6901), where a * stands for any member');

/** A tool's full name, in which one `*` may stand for any text on each side of the slash. */
export const toolPattern = z
  .string()
  .max(192)
  .regex(/^[a-z0-9*][a-z0-9_*-]{0,62}\/[!-~]{1,128}$/, 'must be <server>/<tool>, where * stands for any text');

/**
 * What a call does to the world. The default packs go by these labels; any others are the operator's own.
 * `read` changes nothing and says nothing to anybody outside; `fetch` reads from a host that its arguments name; `write` changes
 * what belongs to the user; `send` says something to others; `payment` moves money; `delete` destroys; `permission` changes who may
 * see or do; `credential` changes how somebody proves who they are; `execute` runs code.
 */
export const effects = [
  'read',
  'fetch',
  'write',
  'send',
  'payment',
  'delete',
  'permission',
  'credential',
  'execute',
] as const;
export type Effect = (typeof effects)[number];

const pointers = z.array(pointerPattern).max(64);

export const rateLimit = z.strictObject({
  limit: z.int().min(0).max(1_000_000),
  window_s: z.int().min(1).max(86_400),
  /** Whose calls count together; each tool is counted apart. */
  per: z.enum(['session', 'agent', 'tenant', 'everybody']).default('agent'),
});

export const toolProfile = z.strictObject({
  tools: z.array(toolPattern).min(1).max(256),
  labels: z.array(name).max(16).optional(),
  /** Where the arguments say whom or what the call is about, and where they carry what is to be said or kept. */
  arguments: z.strictObject({ targets: pointers.optional(), content: pointers.optional() }).optional(),
  results: z
    .strictObject({
      /** `trusted`: nobody outside can write any of it. `untrusted` (the default): its free text may come from anybody. */
      trust: z.enum(['trusted', 'untrusted']).optional(),
      /** It holds what must not leave. */
      private: z.boolean().optional(),
      /** Fields that only the system behind the tool writes, and fields that others can write. What neither names goes by its form. */
      structured: pointers.optional(),
      text: pointers.optional(),
    })
    .optional(),
  /** Labels that a call leaves on its session and its agent, beside those that follow from `results`. */
  taint: z.array(name).max(16).optional(),
  redact: z.strictObject({ arguments: pointers.optional(), result: pointers.optional() }).optional(),
  evidence: z.enum(['full', 'redacted', 'digest']).optional(),
  rate_limits: z.array(rateLimit).max(8).optional(),
  /** Nothing runs before a quorum of witnesses has cosigned a checkpoint that covers the decision. */
  witnessed: z.boolean().optional(),
});
export type ToolProfile = z.infer<typeof toolProfile>;

/** The default packs under policies/; `baseline` is always on. */
export const packs = ['baseline', 'provenance', 'destructive', 'dlp', 'egress', 'limits'] as const;
export type Pack = (typeof packs)[number];

const host = z.string().min(1).max(253);
/** `policy` in agentgate.yaml. */
export const policySettings = z.strictObject({
  packs: z.array(z.enum(packs)).max(16).default(['baseline']),
  egress: z
    .strictObject({
      /** Hosts that links and addresses in arguments may name; a leading `*.` stands for any subdomain. All public ones where absent. */
      allow: z.array(host).max(1024).optional(),
      deny: z.array(host).max(1024).default([]),
    })
    .default({ deny: [] }),
  /** Secrets that never leave, by name: their bytes are looked for in every argument. */
  secrets: z
    .record(
      name,
      z.union([
        z.strictObject({ file: z.string().min(1).max(4096) }),
        z.strictObject({ env: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/) }),
      ]),
    )
    .default({}),
  /** The pack `limits`: for every tool, beside the tool's own. */
  rate_limits: z.array(rateLimit).max(8).default([]),
});
export type PolicySettings = z.infer<typeof policySettings>;
