import { AgentGateError, type LeaseRecord } from '@agentgate/contracts';
import { expiryOf } from './lease.ts';
import type { LeaseAtProvider, LeaseOrder } from './provider.ts';
import type { LeaseSecrets } from './secrets.ts';

// A lease's record as its provider has to know it.

const toldOf = (record: LeaseRecord) => ({
  lease: record.id,
  permit: record.permit,
  credential: record.credential,
  scope: record.scope,
  tenant: record.tenant,
  agent: record.agent,
  session: record.session,
  expiresAt: expiryOf(record),
});

/** To be made, or to go on, from `now`. */
export const orderOf = (record: LeaseRecord, person: LeaseOrder['person'], now: number): LeaseOrder => ({
  ...toldOf(record),
  person,
  issuedAt: now,
});

/** To be ended or tried. */
export const atProvider = async (record: LeaseRecord, secrets: LeaseSecrets): Promise<LeaseAtProvider> => ({
  ...toldOf(record),
  issuedAt: Date.parse(record.created_at),
  handle: await handleOf(record, secrets),
});

/** What the provider left to find it by. Rejects CREDENTIAL_UNAVAILABLE for what was not locked for this lease. */
export const handleOf = async ({ handle, id }: LeaseRecord, secrets: LeaseSecrets): Promise<string | undefined> => {
  if (handle === undefined) return undefined;
  try {
    return await secrets.unlock(handle, id);
  } catch (cause) {
    throw new AgentGateError('CREDENTIAL_UNAVAILABLE', "the lease's handle was not locked by this broker's key", {
      cause,
    });
  }
};
