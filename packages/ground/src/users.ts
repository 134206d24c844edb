import { join } from 'node:path';
import {
  agentPermissions,
  type Config,
  name,
  type PersonRole,
  people,
  personPermissions,
  serviceUsers,
  toolPermissions,
} from '@agentgate/contracts';
import { isBearerOf, isCreds, mintBearer, mintUser, userOfSame, type WantedBearer, type WantedUser } from './jwt.ts';
import { readIfThere, writePrivate } from './private-file.ts';
import type { Seeds } from './seeds.ts';

// Credentials files of everybody. A file whose user already has the wanted permissions stays as it is; one whose permissions
// changed is minted again for the same key, so that what knows the user's key still holds.

/** Returns the user's public key. */
const layUser = async (file: string, wanted: WantedUser): Promise<string> => {
  const there = readIfThere(file);
  const user = there === undefined ? undefined : await userOfSame(there, wanted);
  if (user !== undefined) return user;
  const keep = there !== undefined && (await isCreds(there)) ? { creds: there } : {};
  const minted = await mintUser({ ...wanted, ...keep });
  writePrivate(file, minted.creds);
  return minted.user;
};

export const serviceCredsFile = (home: string, user: string): string => join(home, 'keys', 'services', `${user}.creds`);
export const credsFolder = (home: string): string => join(home, 'creds');
export const agentUser = (tenant: string, agent: string): string =>
  tenant === 'default' ? `agent-${agent}` : `${tenant}.agent-${agent}`;
export const credsFile = (home: string, user: string): string => join(credsFolder(home), `${user}.creds`);

/** Of an agent, beside its credentials. */
export const tokenFile = (home: string, user: string): string => join(credsFolder(home), `${user}.token`);

export const layServiceUsers = async (home: string, seeds: Seeds): Promise<void> => {
  for (const { user, account, ...permissions } of serviceUsers()) {
    await layUser(serviceCredsFile(home, user), { name: user, accountSeed: seeds.core[account], permissions });
  }
};

/** Those that every deployment has, and the approvers, operators and engineers that the configuration names. */
export const layPeople = async (
  home: string,
  seeds: Seeds,
  { approvals, operators, engineers }: Pick<Config, 'approvals' | 'operators' | 'engineers'>,
): Promise<void> => {
  const approvers = Object.keys(approvals.people);
  const roles: [person: string, role: PersonRole][] = [
    ...people.map((person): [string, PersonRole] => [person, person]),
    ...approvers.filter((person) => person !== 'approver').map((person): [string, PersonRole] => [person, 'approver']),
    ...operators.map((person): [string, PersonRole] => [person, 'operator']),
    ...engineers.map((person): [string, PersonRole] => [person, 'engineer']),
  ];
  for (const [person, role] of roles) {
    await layUser(credsFile(home, name.parse(person)), {
      name: person,
      accountSeed: seeds.core.OPS,
      permissions: personPermissions(person, role),
    });
  }
};

/** The tool servers on NATS, by the last word of their subject. */
export const layToolServers = async (home: string, seeds: Seeds, servers: Config['servers']): Promise<void> => {
  for (const server of Object.values(servers)) {
    if (!server.nats) continue;
    const tool = name.parse(server.nats.subject.split('.').at(-1));
    await layUser(credsFile(home, `tool-${tool}`), {
      name: `tool-${tool}`,
      accountSeed: seeds.core.TOOLS,
      permissions: toolPermissions(tool),
    });
  }
};

/** A token stays as it is while it is of this user and says what it should, as credentials do. */
const layToken = async (file: string, wanted: WantedBearer): Promise<void> => {
  const there = readIfThere(file);
  if (there !== undefined && isBearerOf(there.trim(), wanted)) return;
  writePrivate(file, `${await mintBearer(wanted)}\n`);
};

/**
 * An agent's credentials, and its bearer token for those that cannot sign. A name like `*` would make its owner everybody, hence the check before
 * anything is minted.
 */
export const layAgent = async (home: string, seeds: Seeds, tenant: string, agent: string): Promise<string> => {
  const as = agentUser(name.parse(tenant), name.parse(agent));
  const wanted = { name: agent, accountSeed: seeds.tenant(tenant), permissions: agentPermissions(agent) };
  const user = await layUser(credsFile(home, as), wanted);
  await layToken(tokenFile(home, as), { ...wanted, user });
  return user;
};
