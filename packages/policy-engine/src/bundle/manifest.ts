import { firstProblem, policyVersion } from '@agentgate/contracts';
import { z } from 'zod';
import { entryPoints } from '../engine/entry-points.ts';
import { readJson } from './file-digest.ts';
import { refuse } from './refused.ts';

/** OPA's manifest; ours is `metadata.agentgate`. What OPA has more of is not looked at. */
const manifest = z.object({
  /** As it stands in permits and evidence. */
  revision: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'must be 1 to 128 letters, digits, dots, _ and -'),
  /** The bundle is the whole policy. */
  roots: z.tuple([z.literal('')], 'must be [""]'),
  wasm: z
    .array(z.object({ entrypoint: z.string().max(256), module: z.literal('/policy.wasm') }))
    .max(16)
    .refine(
      (modules) => entryPoints.every((name) => modules.some(({ entrypoint }) => entrypoint === name)),
      `must name the entry points ${entryPoints.join(' and ')}`,
    ),
  rego_version: z.int().optional(),
  metadata: z.object({ agentgate: z.strictObject({ v: z.literal(1), version: policyVersion.min(1) }) }),
});
export type Manifest = z.infer<typeof manifest>;

/** Throws POLICY_INVALID naming the field. */
export const parseManifest = (bytes: Uint8Array | undefined): Manifest => {
  if (!bytes) throw refuse('.manifest', 'is missing');
  const parsed = manifest.safeParse(readJson('.manifest', bytes));
  if (!parsed.success) throw refuse('.manifest', firstProblem(parsed.error));
  return parsed.data;
};

export const createManifest = (revision: string, version: number): Manifest => ({
  revision,
  roots: [''],
  wasm: entryPoints.map((entrypoint) => ({ entrypoint, module: '/policy.wasm' as const })),
  rego_version: 1,
  metadata: { agentgate: { v: 1, version } },
});
