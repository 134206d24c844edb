import { AgentGateError, type PermitClaims, type SubjectRecord } from '@agentgate/contracts';
import { unavailable } from './provider.ts';
import type { LeaseSecrets } from './secrets.ts';

/** What an issuer's signature says of a person. `expiresAt` in milliseconds since the epoch. */
export interface VerifiedSubject {
  person: string;
  issuer: string;
  expiresAt: number;
}
/** Rejects FIELD_INVALID for a token that does not count here. */
export type SubjectVerifier = (token: string) => Promise<VerifiedSubject>;

/** The SUBJECTS bucket. */
export interface SubjectRecords {
  create(id: string, record: SubjectRecord, keepMs: number): Promise<void>;
  read(id: string): Promise<SubjectRecord | undefined>;
}

export interface Subjects {
  /** Verifies whom an agent acts for, and keeps the token, encrypted for that agent, until it expires. */
  accept(ask: { tenant: string; agent: string; subject_token: string }): Promise<VerifiedSubject & { id: string }>;
  /** The person that a permit names, with the token. Rejects CREDENTIAL_UNAVAILABLE where there is none, or no more. */
  personOf(
    credential: string,
    claims: PermitClaims,
  ): Promise<{ person: { id: string; token: string }; expiresAt: number }>;
}

interface SubjectsPorts {
  verify: SubjectVerifier;
  records: SubjectRecords;
  secrets: Pick<LeaseSecrets, 'lock' | 'unlock'>;
  newId: () => string;
  now: () => number;
}

/** A token that was stolen from the bucket is of no use, and one that is named in another agent's permit does not open. */
const lockedFor = (id: string, { tenant, agent }: { tenant: string; agent: string }) => `${id} ${tenant}/${agent}`;

export const createSubjects = ({ verify, records, secrets, newId, now }: SubjectsPorts): Subjects => ({
  accept: async ({ tenant, agent, subject_token }) => {
    const verified = await verify(subject_token);
    const id = newId();
    const { person, issuer, expiresAt } = verified;
    const record: SubjectRecord = {
      v: 1,
      tenant,
      agent,
      person,
      issuer,
      expires_at: new Date(expiresAt).toISOString(),
      locked: await secrets.lock(subject_token, lockedFor(id, { tenant, agent })),
    };
    await records.create(id, record, Math.max(1_000, expiresAt - now()));
    return { id, ...verified };
  },
  personOf: async (credential, claims) => {
    if (!claims.subject) throw unavailable(credential, 'needs a session that names a person');
    const { id, person } = claims.subject;
    const record = await records.read(id);
    if (!record || Date.parse(record.expires_at) <= now())
      throw unavailable(credential, 'is for a person whose token has expired');
    if (record.tenant !== claims.tenant || record.agent !== claims.agent || record.person !== person)
      throw new AgentGateError('POLICY_DENIED', 'permit: it names a person that this agent does not act for');
    try {
      const token = await secrets.unlock(record.locked, lockedFor(id, claims));
      return { person: { id: person, token }, expiresAt: Date.parse(record.expires_at) };
    } catch (cause) {
      throw unavailable(credential, 'is for a person whose token cannot be read', cause);
    }
  },
});
