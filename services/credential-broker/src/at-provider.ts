import { AgentGateError, type LeaseRecord } from '@agentgate/contracts';
import { expiryOf } from './lease.ts';
import type { LeaseAtProvider } from './provider.ts';
import type { LeaseSecrets } from './secrets.ts';

/** A lease as its provider has to know it, with its handle unlocked. */
export const atProvider = async (record: LeaseRecord, secrets: LeaseSecrets): Promise<LeaseAtProvider> => ({
  lease: record.id,
  permit: record.permit,
  credential: record.credential,
  scope: record.scope,
  tenant: record.tenant,
  agent: record.agent,
  session: record.session,
  issuedAt: Date.parse(record.created_at),
  expiresAt: expiryOf(record),
  handle: record.handle === undefined ? undefined : await unlocked(record.handle, record.id, secrets),
});

const unlocked = async (handle: string, lease: string, secrets: LeaseSecrets): Promise<string> => {
  try {
    return await secrets.unlock(handle, lease);
  } catch (cause) {
    throw new AgentGateError('CREDENTIAL_UNAVAILABLE', "the lease's handle was not locked by this broker's key", {
      cause,
    });
  }
};
