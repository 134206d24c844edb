import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, type Permissions, serviceUsers } from '@agentgate/contracts';
import { claimsOfCoreAccount, claimsOfTenant, coreAccounts } from './accounts.ts';
import { layAgents } from './agents.ts';
import { GroundError } from './error.ts';
import { mintAccount, mintOperator, mintUser, publicKeyOf } from './jwt.ts';
import { layNats } from './nats-conf.ts';
import { ownTenant, refuseReserved } from './own-tenant.ts';
import { closeToOthers, privateFolder, readIfThere, writePrivate } from './private-file.ts';
import { layRedis, type RedisFiles } from './redis-conf.ts';
import { type Roster, readRoster, revokedOf } from './roster.ts';
import { laySeeds, type Seeds } from './seeds.ts';
import { layKeys, type SigningKeys } from './signing-keys.ts';
import { credsFile, credsFolder, layPeople, layServiceUsers, layToolServers, serviceCredsFile } from './users.ts';
import { layWitnesses, witnessesFileIn } from './witnesses.ts';

export interface Ports {
  nats: number;
  websocket: number;
  redis: number;
}

/** Where the servers are for the services, and on which address they listen. All is loopback unless this says otherwise. */
export interface Hosts {
  nats: string;
  redis: string;
  listen: string;
}
const loopback: Hosts = { nats: '127.0.0.1', redis: '127.0.0.1', listen: '127.0.0.1' };

/** Everything that a stack needs before it starts, in one private folder. */
export interface Deployment {
  home: string;
  config: Config;
  natsUrl: string;
  websocketUrl: string;
  natsConf: string;
  redis: RedisFiles;
  keys: SigningKeys;
  /** The folder of the credentials that people and agents use. */
  creds: string;
  /** The path of a user's credentials file: a service, `agent-demo`, `operator`, `tool-<server>` … */
  credsFile(user: string): string;
  /** tenants.json: which NATS account is which tenant. */
  tenantsFile: string;
  /** witnesses.json: the log, and whose cosignatures its checkpoints need. */
  witnessesFile: string;
  accountId(tenant: string): string;
  roster(): Roster;
  seeds: Seeds;
}

/**
 * Lays the ground in `home`: what is there stays (keys, passwords, credentials), what is missing is made, and what follows
 * from the contracts and the configuration (account JWTs, permissions, configuration files) is made anew.
 */
export const createDeployment = async (opts: {
  home: string;
  config: Config;
  ports: Ports;
  hosts?: Hosts;
  now?: () => number;
}): Promise<Deployment> => {
  const { home, config, ports, hosts = loopback, now = Date.now } = opts;
  refuseReserved(config);
  for (const folder of ['', 'keys', 'creds', 'run', 'run/jwt', 'logs', 'nats', 'redis', 'evidence', 'log-lock'])
    privateFolder(join(home, folder));
  closeToOthers(home);
  // What the server was told before does not count: all account JWTs are minted below.
  rmSync(join(home, 'run', 'jwt'), { recursive: true, force: true });
  const seeds = laySeeds(home);
  const keys = layKeys(home, now);
  layWitnesses(home, { vkey: keys.logVerifierKey, ...config.evidence });
  await layServiceUsers(home, seeds);
  await layPeople(home, seeds, config);
  await layToolServers(home, seeds, config.servers);
  const roster = await layAgents(home, seeds, config, now);
  const tenants = [...Object.keys(config.tenants), ownTenant];
  const natsConf = layNats({
    home,
    port: ports.nats,
    websocketPort: ports.websocket,
    host: hosts.listen,
    operatorJwt: await mintOperator(seeds.operator, seeds.ids.SYS),
    systemAccount: seeds.ids.SYS,
    accounts: await mintAccounts(seeds, tenants, roster),
  });
  const tenantsFile = join(home, 'keys', 'tenants.json');
  const accountId = (tenant: string) => publicKeyOf(seeds.tenant(tenant));
  writePrivate(
    tenantsFile,
    `${JSON.stringify({ v: 1, tenants: tenants.map((tenant) => ({ tenant, account: accountId(tenant) })) }, null, 2)}\n`,
  );
  const services = serviceUsers().map((u) => u.user);
  return {
    home,
    config,
    natsUrl: `nats://${hosts.nats}:${ports.nats}`,
    websocketUrl: `ws://${hosts.nats}:${ports.websocket}`,
    natsConf,
    redis: layRedis(home, { port: ports.redis, host: hosts.redis, listen: hosts.listen }),
    keys,
    creds: credsFolder(home),
    credsFile: (user) => (services.includes(user) ? serviceCredsFile(home, user) : credsFile(home, user)),
    tenantsFile,
    witnessesFile: witnessesFileIn(home),
    accountId,
    roster: () => readRoster(home),
    seeds,
  };
};

const mintAccounts = async (
  seeds: Seeds,
  tenants: readonly string[],
  roster: Roster,
): Promise<Record<string, string>> => {
  const minted: Record<string, string> = {};
  for (const account of coreAccounts) {
    minted[seeds.ids[account]] = await mintAccount({
      name: account,
      seed: seeds.core[account],
      operatorSeed: seeds.operator,
      claims: claimsOfCoreAccount(account, seeds.ids),
    });
  }
  for (const tenant of tenants) minted[publicKeyOf(seeds.tenant(tenant))] = await mintTenant(seeds, tenant, roster);
  return minted;
};

/** A tenant's account JWT as the roster has it now. */
export const mintTenant = (seeds: Seeds, tenant: string, roster: Roster): Promise<string> => {
  const seed = seeds.tenant(tenant);
  return mintAccount({
    name: `tenant-${tenant}`,
    seed,
    operatorSeed: seeds.operator,
    claims: claimsOfTenant(publicKeyOf(seed), seeds.ids, revokedOf(roster, tenant)),
  });
};

/** Credentials that live for one task and are never written down. */
export const mintOneShot = async (
  seeds: Seeds,
  account: keyof Seeds['core'],
  name: string,
  permissions: Permissions,
): Promise<string> => (await mintUser({ name, accountSeed: seeds.core[account], permissions, expiresInS: 60 })).creds;

/** The seeds of a home that was laid before. Throws GroundError where there is none, so that a typo does not make a new one. */
export const openHome = (home: string): Seeds => {
  if (readIfThere(join(home, 'keys', 'nats', 'operator.nk')) === undefined)
    throw new GroundError(`${home} holds no AgentGate: start one with agentgate up`);
  return laySeeds(home);
};
