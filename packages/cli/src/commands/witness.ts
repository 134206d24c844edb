import { resolve } from 'node:path';
import { addLog, initWitness, readWitness, runWitness } from '@agentgate/witness';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CliContext } from '../context.ts';
import type { Run } from '../run.ts';
import { untilSignal } from '../until-signal.ts';

// A witness of logs, ours or others': needs nothing of a stack, and is best run by somebody else on another machine.

const port = (text: string): number => {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 0 || n > 65_535) throw new InvalidArgumentError('must be 0 to 65535');
  return n;
};
const collect = (value: string, before: string[]) => [...before, value];

const show = (ctx: CliContext, folder: string): number => {
  const { signer, vkey, logs } = readWitness(folder);
  const origins = [...logs.keys()];
  const keys = [...logs.values()].flat().map(({ name, id }) => `${name}+${id}`);
  ctx.answer({ witness: signer.name, vkey, logs: origins }, () =>
    [
      `witness ${signer.name} in ${folder}`,
      `its key, for those who rely on it:  ${vkey}`,
      keys.length > 0
        ? `it witnesses:  ${keys.join('\n               ')}`
        : 'it witnesses no log yet: agentgate witness add-log',
    ].join('\n'),
  );
  return 0;
};

export const registerWitness = (program: Command, run: Run): void => {
  const witness = program
    .command('witness')
    .description('cosign the checkpoints of logs: vouch that they only grow (C2SP tlog-witness)');
  witness
    .command('init')
    .description('make a witness: a folder with a key of its own')
    .argument('<folder>')
    .requiredOption('--name <name>', 'what it is known by: best a host name and a path of yours, example.com/witness1')
    .option('--log <vkey>', 'the verifier key of a log to witness; may be given more than once', collect, [])
    .action(
      run(async (ctx, folder: string, { name, log }: { name: string; log: string[] }) => {
        initWitness(resolve(folder), { name, logs: log });
        return show(ctx, resolve(folder));
      }),
    );
  witness
    .command('add-log')
    .description('witness another log, or a log under another key of its own; from the next start on')
    .argument('<folder>')
    .argument('<vkey>', 'the verifier key of the log')
    .action(
      run(async (ctx, folder: string, vkey: string) => {
        addLog(resolve(folder), vkey);
        return show(ctx, resolve(folder));
      }),
    );
  witness
    .command('show')
    .description('say who it is and which logs it witnesses')
    .argument('<folder>')
    .action(run(async (ctx, folder: string) => show(ctx, resolve(folder))));
  witness
    .command('run')
    .description('answer add-checkpoint over HTTP until Ctrl-C')
    .argument('<folder>')
    .option('--host <address>', 'where to listen; put TLS and the world in front of it', '127.0.0.1')
    .option('--port <n>', 'the port; 0 takes a free one', port, 8790)
    .addOption(
      new Option('--log-level <level>', 'what to log').choices(['debug', 'info', 'warn', 'error']).default('info'),
    )
    .action(
      run(async (_, folder: string, { host, port, logLevel }: { host: string; port: number; logLevel: string }) => {
        await runWitness({ folder: resolve(folder), host, port, level: logLevel }, untilSignal());
        return 0;
      }),
    );
};
