import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '@agentgate/contracts';
import { addAgent, agentUser, openHome, pushTenant, readRoster, recordAgents, removeAgent } from '@agentgate/ground';
import type { Command } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { readStatus, withUser } from '../stack.ts';
import { askKill } from './kill.ts';
import { tellReceipt } from './receipt.ts';

// Agents of a running stack: the credentials file, the tenant's account in NATS, and the record that policy reads, in step.

const tenantsOf = (configFile: string): string[] =>
  Object.keys(parseConfig(readFileSync(configFile, 'utf8'), configFile).tenants);
const collect = (value: string, before: string[]) => [...before, value];

/** Longer than a kill takes to be contained; whoever is given the name anew is not held up by it for long. */
const endsMs = 10_000;

/**
 * What the agent had in flight does not end with its connection: a kill stops it, revokes its leases, voids its approvals, and is evidence. Where a
 * point did not confirm, the kill stands until it is lifted: that point learns of it once it is back.
 */
const endWork = (ctx: CliContext, { tenant, name }: { tenant: string; name: string }) => {
  const scope = { kind: 'agent' as const, id: name, tenant };
  const order = { v: 1 as const, scope, reason: 'the agent was removed' };
  return withUser(ctx.home, 'operator', async (bus) => {
    const receipt = await askKill(bus, { ...order, expires_in_ms: endsMs });
    return receipt.contained ? receipt : askKill(bus, order);
  }).catch((cause: Error) => {
    throw new CliError(
      `agent ${name} of tenant ${tenant} is removed, but what it had in flight may go on until the agent is killed: ${cause.message}`,
      { cause },
    );
  });
};

export const registerAgent = (program: Command, run: Run): void => {
  const agent = program.command('agent').description('who may call through the gate');
  agent
    .command('add')
    .description('make an agent and its credentials')
    .argument('<name>')
    .option('--tenant <name>', 'its tenant', 'default')
    .option('--label <word>', 'a label that grants may name; may be given more than once', collect, [])
    .action(
      run(async (ctx, name: string, flags: { tenant: string; label: string[] }) => {
        const { nats, config, creds } = readStatus(ctx.home);
        const seeds = openHome(ctx.home);
        const added = await addAgent(ctx.home, seeds, tenantsOf(config), {
          tenant: flags.tenant,
          name,
          labels: flags.label,
        });
        await recordAgents({ natsUrl: nats, seeds, roster: readRoster(ctx.home) });
        const file = join(creds, `${agentUser(added.tenant, added.name)}.creds`);
        ctx.answer(
          { tenant: added.tenant, agent: added.name, labels: added.labels, creds: file },
          () => `agent ${added.name} of tenant ${added.tenant}: ${file}`,
        );
        return 0;
      }),
    );
  agent
    .command('rm')
    .description('revoke an agent: it is disconnected at once, its calls end, and it does not come back')
    .argument('<name>')
    .option('--tenant <name>', 'its tenant', 'default')
    .action(
      run(async (ctx, name: string, flags: { tenant: string }) => {
        const { nats } = readStatus(ctx.home);
        const seeds = openHome(ctx.home);
        const gone = removeAgent(ctx.home, { tenant: flags.tenant, name }, Date.now);
        const roster = readRoster(ctx.home);
        await pushTenant({ natsUrl: nats, seeds, roster, tenant: gone.tenant });
        await recordAgents({ natsUrl: nats, seeds, roster });
        const kill = await endWork(ctx, gone);
        ctx.answer({ tenant: gone.tenant, agent: gone.name, removed: true, kill }, () =>
          [`agent ${gone.name} of tenant ${gone.tenant} is removed`, tellReceipt(ctx, kill)].join('\n'),
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
