import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bus } from '@agentgate/bus';
import { parseConfig, scopeKey } from '@agentgate/contracts';
import {
  addAgent,
  agentUser,
  dropCreds,
  type Named,
  openHome,
  pushTenant,
  readRoster,
  recordAgents,
  removeAgent,
  requireAgent,
  withRoster,
} from '@agentgate/ground';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import type { Run } from '../run.ts';
import { readStatus, requireRunning, withUser } from '../stack.ts';
import { askKill, askKills } from './kill.ts';
import { tellReceipt } from './receipt.ts';
import { type RemovalSteps, removalReason, removeWholly } from './removal.ts';

// Agents of a running stack: the credentials file and the token, the tenant's account in NATS, and the record that policy reads, in step.

const tenantsOf = (configFile: string): string[] =>
  Object.keys(parseConfig(readFileSync(configFile, 'utf8'), configFile).tenants);
const collect = (value: string, before: string[]) => [...before, value];

const agentScope = ({ tenant, name }: Named) => ({ kind: 'agent' as const, id: name, tenant });

/** The kill of this agent that stands; undefined too where nobody can tell. */
const standingKill = async (bus: Bus, who: Named) => {
  const { kills } = await askKills(bus).catch(() => ({ kills: [] }));
  return kills.find(({ scope }) => scopeKey(scope) === scopeKey(agentScope(who)));
};

/**
 * What the agent had in flight does not end with its connection: a kill stops it, revokes its leases, voids its approvals, and is evidence. Where a
 * point did not confirm, the kill stands until it is lifted: that point learns of it once it is back. An order takes the place of the one of the same
 * scope, and never ends before it: whose that was, and why, it says again.
 */
const removalOf = (ctx: CliContext, who: Named): RemovalSteps => {
  const { nats } = readStatus(ctx.home);
  requireRunning(ctx.home);
  const seeds = openHome(ctx.home);
  requireAgent(ctx.home, who);
  const toServer = (tell: (ground: Parameters<typeof recordAgents>[0]) => Promise<void>) => () =>
    withRoster(ctx.home, () => tell({ natsUrl: nats, seeds, roster: readRoster(ctx.home) }));
  return {
    strike: () => removeAgent(ctx.home, who, Date.now),
    kill: (endsMs) =>
      withUser(ctx.home, 'operator', async (bus) => {
        const reason = removalReason(await standingKill(bus, who));
        const ends = endsMs === undefined ? {} : { expires_in_ms: endsMs };
        return askKill(bus, { v: 1, scope: agentScope(who), reason, ...ends });
      }),
    revoke: toServer((ground) => pushTenant({ ...ground, tenant: who.tenant })),
    forget: toServer(recordAgents),
    drop: () => dropCreds(ctx.home, who),
  };
};

/** A line for whoever uses the name next. */
const killThatStays = async (ctx: CliContext, who: Named): Promise<string[]> => {
  const stands = await withUser(ctx.home, 'operator', (bus) => standingKill(bus, who)).catch(() => undefined);
  if (!stands || stands.expires_at !== undefined) return [];
  const lift = `agentgate lift agent ${who.name}${who.tenant === 'default' ? '' : ` --tenant ${who.tenant}`}`;
  return [`a kill of it stands: whoever has this name works again once it is lifted (${lift})`];
};

export const registerAgent = (program: Command, run: Run): void => {
  const agent = program.command('agent').description('who may call through the gate');
  agent
    .command('add')
    .description('make an agent, its credentials and its bearer token')
    .argument('<name>')
    .option('--tenant <name>', 'its tenant', 'default')
    .option('--label <word>', 'a label that grants may name; may be given more than once', collect, [])
    .action(
      run(async (ctx, name: string, flags: { tenant: string; label: string[] }) => {
        const { nats, config, creds } = readStatus(ctx.home);
        // Before anything is changed: the rest could not be told.
        requireRunning(ctx.home);
        const seeds = openHome(ctx.home);
        const added = await addAgent(ctx.home, seeds, tenantsOf(config), {
          tenant: flags.tenant,
          name,
          labels: flags.label,
        });
        await withRoster(ctx.home, () => recordAgents({ natsUrl: nats, seeds, roster: readRoster(ctx.home) }));
        const stays = await killThatStays(ctx, added);
        const file = join(creds, `${agentUser(added.tenant, added.name)}.creds`);
        const token = join(creds, `${agentUser(added.tenant, added.name)}.token`);
        ctx.answer({ tenant: added.tenant, agent: added.name, labels: added.labels, creds: file, token }, () =>
          [`agent ${added.name} of tenant ${added.tenant}: ${file}`, `its bearer token: ${token}`, ...stays].join('\n'),
        );
        return 0;
      }),
    );
  agent
    .command('rm')
    .description('revoke an agent: its calls end, it is disconnected, and it does not come back; safe to repeat')
    .argument('<name>')
    .option('--tenant <name>', 'its tenant', 'default')
    .action(
      run(async (ctx, name: string, flags: { tenant: string }) => {
        const who = { tenant: flags.tenant, name };
        const kill = await removeWholly(who, removalOf(ctx, who));
        const stays = await killThatStays(ctx, who);
        ctx.answer({ tenant: who.tenant, agent: name, removed: true, kill }, () =>
          [`agent ${name} of tenant ${who.tenant} is removed`, tellReceipt(ctx, kill), ...stays].join('\n'),
        );
        return kill.contained ? 0 : 2;
      }),
    );
  agent
    .command('list')
    .description('list agents')
    .action(
      run(async (ctx) => {
        openHome(ctx.home);
        const agents = readRoster(ctx.home).agents.map((a) => ({
          tenant: a.tenant,
          agent: a.name,
          labels: a.labels,
          from: a.from,
        }));
        ctx.answer({ agents }, () =>
          agents.map((a) => `${a.tenant}/${a.agent}  ${ctx.paint.dim(a.labels.join(' '))}`).join('\n'),
        );
        return 0;
      }),
    );
};
