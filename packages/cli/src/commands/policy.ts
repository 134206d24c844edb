import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { PolicyHistory, PolicyRolloutAnswer } from '@agentgate/contracts';
import { packBundle, signBundle } from '@agentgate/policy-engine';
import { type Command, InvalidArgumentError } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import { askAs } from '../policy/ask.ts';
import { authorKey, buildFiles, openForTest } from '../policy/bundle-file.ts';
import { type RegoTests, testRego } from '../policy/opa.ts';
import { startTrial } from '../policy/trial-policy.ts';
import type { Run } from '../run.ts';
import { visible } from './approvals.ts';
import { registerLive } from './policy-live.ts';
import { registerTrials } from './policy-try.ts';

const person = 'engineer';

const version = (text: string): number => {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('must be a number from 1 on');
  return number;
};
const target = (text: string): number => (text === 'config' ? 0 : version(text));

export const askHistory = (ctx: CliContext, as = person): Promise<PolicyHistory> =>
  askAs(ctx, as, 'policy-history', { v: 1 });

export const nameOf = (version: number): string => (version === 0 ? 'agentgate.yaml' : `version ${version}`);

/** One more than the newest that the running stack knows. */
const nextVersion = async (ctx: CliContext, as: string): Promise<number> => {
  const { bundles } = await askHistory(ctx, as).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : 'unknown';
    throw new CliError(`--bundle-version: name one, since the running stack cannot be asked for the next (${why})`);
  });
  return Math.max(0, ...bundles.map((each) => each.version)) + 1;
};

const tellRollout = (ctx: CliContext, answer: PolicyRolloutAnswer): string => {
  const { paint } = ctx;
  const good = answer.status === 'activated';
  const head = `${paint.bold(good ? paint.green('active') : paint.red(answer.status.replace('_', ' ')))}: ${nameOf(answer.version)}, epoch ${answer.epoch}`;
  const replicas = answer.replicas.map(
    ({ instance, status, ms, problem }) =>
      `  policy ${paint.dim(instance)} ${status === 'confirmed' ? `confirmed in ${(ms ?? 0).toFixed(1)} ms` : paint.red(status)}${problem === undefined ? '' : `: ${visible(problem)}`}`,
  );
  const explains: Record<PolicyRolloutAnswer['status'], string[]> = {
    activated: [],
    incomplete: ['  who did not confirm decides nothing until it has the active revision'],
    refused: [`  nothing changed: ${visible(answer.problem ?? '')}`],
    conflict: [`  nothing changed: ${visible(answer.problem ?? '')}`],
    pending_second: ['  noted; a second engineer has to activate it, too, within 5 minutes'],
  };
  return [head, ...replicas, ...explains[answer.status]].join('\n');
};
const codeOf: Record<PolicyRolloutAnswer['status'], number> = {
  activated: 0,
  pending_second: 0,
  incomplete: 2,
  refused: 1,
  conflict: 1,
};

const tellHistory = (ctx: CliContext, { active, activations, bundles, replicas }: PolicyHistory): string => {
  const { paint } = ctx;
  return [
    `${paint.bold('active')}: ${nameOf(active.version)}${active.policy ? ` (${active.policy.revision})` : ''}, epoch ${active.epoch}`,
    ...replicas.map(
      ({ instance, epoch, silent_ms }) =>
        `  policy ${paint.dim(instance)} epoch ${epoch}${silent_ms > 3_500 ? paint.red(` silent for ${Math.round(silent_ms / 1000)} s`) : ''}`,
    ),
    ...activations.map(
      (each) =>
        `${each.at}  epoch ${each.epoch}  ${each.action} ${nameOf(each.version)}  ${paint.dim(`by ${each.by}`)}  ${visible(each.reason)}`,
    ),
    ...bundles.map(
      (each) =>
        `${each.at}  pushed version ${each.version}  ${each.policy.revision}  ${paint.dim(`by ${each.by}, ${each.bytes} bytes, sha256 ${each.bundle.slice(0, 16)}…`)}`,
    ),
  ].join('\n');
};

const registerBuild = (policy: Command, run: Run): void => {
  policy
    .command('build')
    .description('make a signed bundle of what agentgate.yaml says, or of a folder of Rego')
    .option('--config <file>', 'whose grants, tools and packs (default: agentgate.yaml)')
    .option('--rego <folder>', 'compile this folder with opa instead of taking the policy of the checkout')
    .option('--tests <file>', 'cases that the bundle carries: {"v":1,"cases":[…]}, JSON or YAML')
    .option('--bundle-version <n>', 'of the bundle (default: the next that the running stack expects)', version)
    .option('--key <file>', "the author's seed (default: keys/policy-author.seed of the home)")
    .option('--as <engineer>', 'whose credentials to use', person)
    .option('--out <file>', 'default: policy-<version>.tar.gz')
    .action(
      run(
        async (
          ctx,
          flags: {
            config?: string;
            rego?: string;
            tests?: string;
            bundleVersion?: number;
            key?: string;
            as: string;
            out?: string;
          },
        ) => {
          const key = authorKey(ctx, flags.key);
          const number = flags.bundleVersion ?? (await nextVersion(ctx, flags.as));
          const files = await buildFiles(ctx, { ...flags, version: number });
          const archive = await packBundle(await signBundle(files, key));
          const out = resolve(flags.out ?? `policy-${number}.tar.gz`);
          writeFileSync(out, archive);
          ctx.answer(
            { bundle: out, version: number, bytes: archive.byteLength, keyid: key.keyid },
            () => `${out}: version ${number}, ${archive.byteLength} bytes, signed by ${key.keyid}`,
          );
          return 0;
        },
      ),
    );
};

const registerTest = (policy: Command, run: Run): void => {
  policy
    .command('test')
    .description('load a bundle as the gate would, have it decide the cases that it carries, and run the Rego tests')
    .argument('<bundle>', 'a .tar.gz')
    .option('--rego <folder>', "whose *_test.rego opa runs as well (default: the checkout's policies)")
    .option('--no-rego', 'none: the cases of the bundle alone')
    .addHelpText('after', '\nExit code 0 where all is as it should be, 2 where a Rego test fails, else 1.')
    .action(
      run(async (ctx, file: string, flags: { rego?: string | boolean }) => {
        const revision = await openForTest(ctx, file);
        await (await startTrial(revision)).engine.close();
        const folder = typeof flags.rego === 'string' ? resolve(flags.rego) : join(ctx.root, 'policies');
        const rego = flags.rego === false ? undefined : await testRego(ctx, folder);
        const { id, version, tests } = revision;
        ctx.answer({ ...id, version, cases: tests.length, ...(rego && { rego }) }, () =>
          [
            `${id.revision}: ${tests.length} cases are decided as they should be`,
            ...(flags.rego === false ? [] : [rego ? tellRego(ctx, rego) : `${folder}: holds no Rego tests`]),
          ].join('\n'),
        );
        return rego && rego.failed.length > 0 ? 2 : 0;
      }),
    );
};
const tellRego = ({ paint }: CliContext, { folder, passed, failed }: RegoTests): string =>
  [
    `${folder}: ${passed} Rego tests pass${failed.length > 0 ? `, ${paint.red(`${failed.length} do not`)}` : ''}`,
    ...failed.map((each) => `  ${paint.red('✗')} ${visible(each)}`),
  ].join('\n');

const registerPush = (policy: Command, run: Run): void => {
  policy
    .command('push')
    .description('store a signed bundle in the gate; nothing is decided by it yet')
    .argument('<bundle>', 'a .tar.gz')
    .option('--as <engineer>', 'whose credentials to use', person)
    .action(
      run(async (ctx, file: string, flags: { as: string }) => {
        const bytes = readBytes(file);
        const answer = await askAs(ctx, flags.as, 'policy-push', { v: 1, bundle: bytes.toString('base64') });
        ctx.answer(
          answer,
          () =>
            `${answer.status.replace('_', ' ')}: version ${answer.version} (${answer.policy.revision}), sha256 ${answer.bundle}`,
        );
        return 0;
      }),
    );
};

const registerRollouts = (policy: Command, run: Run): void => {
  policy
    .command('activate')
    .description('have every replica decide by a pushed version; only one that is newer than the active one')
    .argument('<version>', 'as it was pushed', version)
    .requiredOption('--reason <text>', 'why; it stands in evidence')
    .option('--as <engineer>', 'whose credentials to use', person)
    .addHelpText('after', '\nExit code 0 where all replicas confirmed, 2 where it is active but not all did, else 1.')
    .action(
      run(async (ctx, number: number, flags: { reason: string; as: string }) => {
        const body = { v: 1 as const, version: number, reason: flags.reason };
        const answer = await askAs(ctx, flags.as, 'policy-activate', body);
        ctx.answer(answer, () => tellRollout(ctx, answer));
        return codeOf[answer.status];
      }),
    );
  policy
    .command('rollback')
    .description('go back to the version that was active before, or to another that once was')
    .requiredOption('--reason <text>', 'why; it stands in evidence')
    .option('--to <version>', 'a version, or config for what agentgate.yaml says', target)
    .option('--as <person>', 'whose credentials to use: an engineer or an operator', person)
    .action(
      run(async (ctx, flags: { reason: string; to?: number; as: string }) => {
        const body = { v: 1 as const, reason: flags.reason, ...(flags.to !== undefined && { version: flags.to }) };
        const answer = await askAs(ctx, flags.as, 'policy-rollback', body);
        ctx.answer(answer, () => tellRollout(ctx, answer));
        return codeOf[answer.status];
      }),
    );
  policy
    .command('history')
    .description('what is active, what was, what was pushed, and by whom')
    .option('--as <person>', 'whose credentials to use', person)
    .action(
      run(async (ctx, flags: { as: string }) => {
        const history = await askHistory(ctx, flags.as);
        ctx.answer(history, () => tellHistory(ctx, history));
        return 0;
      }),
    );
};

const readBytes = (file: string): Buffer => {
  try {
    return readFileSync(file);
  } catch {
    throw new CliError(`${file}: cannot be read`);
  }
};

export const registerPolicy = (program: Command, run: Run): void => {
  const policy = program
    .command('policy')
    .description('the life of a policy: check, build, test, try, push, activate, take back, except');
  for (const register of [registerBuild, registerTest, registerTrials, registerPush, registerRollouts, registerLive])
    register(policy, run);
};
