import { agentPermissions, type Config, gateTenant } from '@agentgate/contracts';
import { GroundError } from './error.ts';
import { mintUser } from './jwt.ts';
import type { RosterEntry } from './roster.ts';
import type { Seeds } from './seeds.ts';

// A tenant of the gate's own with one agent, which no grant names: it asks whether the gate answers, and must be denied.

export const ownTenant = gateTenant;
export const probeAgent = 'probe';
export const probeEntry: RosterEntry = {
  tenant: ownTenant,
  name: probeAgent,
  labels: [],
  user: 'minted-at-need',
  from: 'command',
};

export const refuseReserved = (config: Config): void => {
  if (ownTenant in config.tenants)
    throw new GroundError(`tenant ${ownTenant}: this name is reserved for the gate itself`);
};

/** Credentials of the probe for a minute; they are never written down. */
export const mintProbe = async (seeds: Seeds): Promise<string> =>
  (
    await mintUser({
      name: probeAgent,
      accountSeed: seeds.tenant(ownTenant),
      permissions: agentPermissions(probeAgent),
      expiresInS: 60,
    })
  ).creds;
