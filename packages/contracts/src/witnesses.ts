import { EvidenceError, witnessPolicy } from '@agentgate/evidence';
import { z } from 'zod';

// Whose cosignatures the checkpoints of the evidence log need.

const witness = z.strictObject({
  /** Its submission prefix (C2SP tlog-witness): `add-checkpoint` is below it. */
  url: z
    .url({ protocol: /^https?$/ })
    .max(2048)
    .refine((url) => {
      const { username, password, search, hash } = new URL(url);
      return [username, password, search, hash].every((part) => part === '');
    }, 'must hold no user, password, query or fragment'),
  /** Its verifier key, as `agentgate witness show` or its operator says it. */
  vkey: z.string().min(1).max(512),
});

/** `evidence` in agentgate.yaml. Without witnesses `agentgate up` starts one of its own, and other deployments have none. */
export const evidenceSettings = z
  .strictObject({
    witnesses: z.array(witness).max(16).default([]),
    /** So many of them have to cosign. */
    quorum: z.int().min(1).max(16).optional(),
  })
  .superRefine(({ witnesses, quorum }, ctx) => {
    const refuse = (path: (string | number)[], message: string) => ctx.addIssue({ code: 'custom', path, message });
    if (witnesses.length === 0) {
      if (quorum !== undefined) refuse(['quorum'], 'goes with witnesses only');
      return;
    }
    for (const [i, { vkey }] of witnesses.entries()) {
      const problem = problemOf([vkey], 1);
      if (problem !== undefined) return refuse(['witnesses', i, 'vkey'], problem);
    }
    if (quorum === undefined) return refuse(['witnesses'], 'need a quorum: how many of them have to cosign');
    const problem = problemOf(
      witnesses.map(({ vkey }) => vkey),
      quorum,
    );
    if (problem !== undefined) refuse(quorum > witnesses.length ? ['quorum'] : ['witnesses'], problem);
  });
export type EvidenceSettings = z.infer<typeof evidenceSettings>;

const problemOf = (vkeys: string[], quorum: number): string | undefined => {
  try {
    witnessPolicy({ vkeys, quorum });
    return undefined;
  } catch (error) {
    if (error instanceof EvidenceError) return error.message;
    throw error;
  }
};

/** witnesses.json: what a service has to know to ask witnesses, or to believe them. Written with the other public keys. */
export const witnessesFile = z.strictObject({
  v: z.literal(1),
  log: z.strictObject({ origin: z.string().min(1).max(255), vkey: z.string().min(1).max(512) }),
  witnesses: z.array(witness).max(16),
  /** 0 where there is no witness. */
  quorum: z.int().min(0).max(16),
});
export type WitnessesFile = z.infer<typeof witnessesFile>;
