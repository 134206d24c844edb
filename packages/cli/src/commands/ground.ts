import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseConfig } from '@agentgate/contracts';
import { createDeployment, type Hosts, natsReady, openHome, provision, readRoster } from '@agentgate/ground';
import { type Command, InvalidArgumentError } from 'commander';
import type { Run } from '../run.ts';
import { layLocalWitness, layWitnessFolder } from '../up/local-witness.ts';
import { stackPorts } from '../up/stack-ports.ts';

// What `up` does before and after it starts NATS, each as one command that ends: for whoever starts the servers by other means.

const startMs = 30_000;

/** A name or an address, which goes into URLs and configuration files as it is. */
const host = (text: string): string => {
  if (!/^[a-z0-9][a-z0-9.-]{0,252}$/i.test(text))
    throw new InvalidArgumentError('must be a host name or an IPv4 address');
  return text;
};

const natsRuns = (at: { host: string; port: number }): Promise<boolean> =>
  natsReady(at.port, { host: at.host, timeoutMs: 0 }).then(
    () => true,
    () => false,
  );

interface LayFlags {
  config: string;
  natsHost: string;
  redisHost: string;
  listen: string;
  witnessHost?: string;
}

export const registerGround = (program: Command, run: Run): void => {
  const ground = program
    .command('ground')
    .description('what a stack stands on, for servers that are not started by up');
  ground
    .command('lay')
    .description('write keys, credentials and the configuration of NATS and Redis into the home; starts nothing')
    .requiredOption('--config <file>', 'the configuration')
    .option('--nats-host <name>', 'where services find NATS', host, '127.0.0.1')
    .option('--redis-host <name>', 'where services find Redis', host, '127.0.0.1')
    .option('--witness-host <name>', 'where audit finds the stack’s own witness; without it there is none', host)
    .option('--listen <address>', 'where NATS and Redis listen', host, '127.0.0.1')
    .action(
      run(async (ctx, flags: LayFlags) => {
        const file = resolve(flags.config);
        const ports = stackPorts();
        const hosts: Hosts = { nats: flags.natsHost, redis: flags.redisHost, listen: flags.listen };
        // Laying takes away the accounts' folder of a running server, and with it what it was told since.
        if (await natsRuns({ host: hosts.nats, port: ports.nats })) {
          ctx.answer({ laid: false, home: ctx.home }, () => `NATS runs: ${ctx.home} stays as it is`);
          return 0;
        }
        const config = parseConfig(readFileSync(file, 'utf8'), file);
        const deployment = await createDeployment({ home: ctx.home, config, ports, hosts });
        if (flags.witnessHost !== undefined) {
          // Also where the configuration names others: its container runs, and nobody asks it.
          layWitnessFolder(deployment);
          layLocalWitness(deployment, { host: flags.witnessHost, port: ports.witness });
        }
        ctx.answer({ laid: true, home: ctx.home }, () => `the ground is laid in ${ctx.home}`);
        return 0;
      }),
    );
  ground
    .command('provision')
    .description(
      'make streams, buckets and the records of agents in a running NATS, or change them to what they must be',
    )
    .option('--nats-host <name>', 'where NATS is', host, '127.0.0.1')
    .action(
      run(async (ctx, flags: { natsHost: string }) => {
        const seeds = openHome(ctx.home);
        const { nats: port } = stackPorts();
        await natsReady(port, { host: flags.natsHost, timeoutMs: startMs });
        const natsUrl = `nats://${flags.natsHost}:${port}`;
        await provision({ natsUrl, seeds, roster: readRoster(ctx.home) });
        ctx.answer({ provisioned: true, nats: natsUrl }, () => `streams and buckets of ${natsUrl} are as they must be`);
        return 0;
      }),
    );
};
