import { rmSync } from 'node:fs';
import { type Config, name } from '@agentgate/contracts';
import { GroundError } from './error.ts';
import { type Named, type Roster, type RosterEntry, readRoster, sameAgent, withRoster, writeRoster } from './roster.ts';
import type { Seeds } from './seeds.ts';
import { agentUser, credsFile, layAgent, tokenFile } from './users.ts';

const nowS = (now: () => number) => Math.floor(now() / 1000);

/** Ends a user's right to connect, in the roster. Whoever runs NATS must still be told: `pushTenant`. */
const revoke = (roster: Roster, gone: RosterEntry, now: () => number): Roster => ({
  ...roster,
  agents: roster.agents.filter((a) => !sameAgent(a, gone)),
  revoked: [...roster.revoked, { tenant: gone.tenant, user: gone.user, at: nowS(now) }],
});

/** Deletes an agent's credentials file and its token. */
export const dropCreds = (home: string, { tenant, name }: Named): void => {
  for (const fileOf of [credsFile, tokenFile]) rmSync(fileOf(home, agentUser(tenant, name)), { force: true });
};

/** Brings credentials in line with the configuration: new agents get theirs, agents that it no longer names lose them. */
export const layAgents = (home: string, seeds: Seeds, config: Config, now: () => number): Promise<Roster> =>
  withRoster(home, () => layNamed(home, seeds, config, now));

const layNamed = async (home: string, seeds: Seeds, config: Config, now: () => number): Promise<Roster> => {
  let roster = readRoster(home);
  const wanted = Object.entries(config.tenants).flatMap(([tenant, { agents }]) =>
    Object.entries(agents)
      .filter(([agent]) => !roster.removed.some((r) => sameAgent(r, { tenant, name: agent })))
      .map(([agent, { labels }]) => ({ tenant, name: agent, labels, from: 'config' as const })),
  );
  const stays = (a: RosterEntry) =>
    wanted.some((w) => sameAgent(w, a)) || (a.from === 'command' && a.tenant in config.tenants);
  const gone = roster.agents.filter((a) => !stays(a));
  for (const agent of gone) roster = revoke(roster, agent, now);
  // Before the files: were one gone while its user is not revoked, a later start would make another user, and whoever has a copy stay in.
  if (gone.length > 0) writeRoster(home, roster);
  for (const agent of gone) dropCreds(home, agent);
  const byCommand = roster.agents.filter((a) => !wanted.some((w) => sameAgent(w, a)));
  const agents: RosterEntry[] = [];
  for (const agent of [...wanted, ...byCommand]) {
    const user = await layAgent(home, seeds, agent.tenant, agent.name);
    const before = roster.agents.find((a) => sameAgent(a, agent));
    // Its file was missing: a copy of it is of the user of before.
    if (before && before.user !== user) roster = revoke(roster, before, now);
    agents.push({ ...agent, user });
  }
  roster = { ...roster, agents };
  writeRoster(home, roster);
  return roster;
};

/** A new agent of a tenant that the configuration names. Throws GroundError where it exists already. */
export const addAgent = async (
  home: string,
  seeds: Seeds,
  tenants: readonly string[],
  wish: { tenant: string; name: string; labels: string[] },
): Promise<RosterEntry> => {
  for (const word of [wish.tenant, wish.name, ...wish.labels]) {
    const checked = name.safeParse(word);
    if (!checked.success)
      throw new GroundError(`${JSON.stringify(word)} ${checked.error.issues[0]?.message ?? 'is no name'}`);
  }
  if (!tenants.includes(wish.tenant))
    throw new GroundError(`no tenant is named ${wish.tenant}: tenants are named in agentgate.yaml`);
  return withRoster(home, async () => {
    const roster = readRoster(home);
    if (roster.agents.some((a) => sameAgent(a, wish)))
      throw new GroundError(`agent ${wish.name} of tenant ${wish.tenant} exists already`);
    // What lies there is of a user that was revoked.
    dropCreds(home, wish);
    const added: RosterEntry = { ...wish, from: 'command', user: await layAgent(home, seeds, wish.tenant, wish.name) };
    writeRoster(home, {
      ...roster,
      agents: [...roster.agents, added],
      removed: roster.removed.filter((r) => !sameAgent(r, wish)),
    });
    return added;
  });
};

/** Throws GroundError where nobody has that name, or had it when it was removed. */
export const requireAgent = (home: string, who: Named): Roster => {
  const roster = readRoster(home);
  if (![...roster.agents, ...roster.removed].some((a) => sameAgent(a, who)))
    throw new GroundError(`no agent is named ${who.name} in tenant ${who.tenant}`);
  return roster;
};

/** Strikes an agent for good: a later start does not make it again, also where agentgate.yaml still names it. Throws as requireAgent does. */
export const removeAgent = (home: string, who: Named, now: () => number): Promise<void> =>
  withRoster(home, () => {
    const roster = requireAgent(home, who);
    const gone = roster.agents.find((a) => sameAgent(a, who));
    if (!gone) return;
    const after = revoke(roster, gone, now);
    const removed = after.removed.filter((r) => !sameAgent(r, who));
    writeRoster(home, { ...after, removed: [...removed, { tenant: gone.tenant, name: gone.name }] });
  });
