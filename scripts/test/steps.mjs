// The steps of `npm test`, quick ones first. Each runs whatever became of those before it.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromExitCode, fromOpa, fromTap, fromVitest } from './totals.mjs';

const MINUTE_MS = 60_000;

const parse = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const check = (name, [program, ...args]) => ({
  name,
  run: async (context) => {
    const command = join(context.root, 'node_modules', '.bin', program);
    const options = { cwd: context.root, extraEnv: context.projectEnv, deadlineMs: 5 * MINUTE_MS, show: true };
    return fromExitCode((await context.run(command, args, options)).code);
  },
});

/** On the Node that the set-up itself runs on, since that is the one it must work on. */
const nodeTests = (name, folder) => ({
  name,
  run: async (context, reports) => {
    const found = await readdir(join(context.root, folder), { recursive: true });
    const files = found.filter((file) => file.endsWith('.test.mjs')).map((file) => join(folder, file));
    const tap = join(reports, `${name}.tap`);
    const shown = ['--test-reporter', 'spec', '--test-reporter-destination', 'stdout'];
    const kept = ['--test-reporter', 'tap', '--test-reporter-destination', tap];
    const options = { cwd: context.root, deadlineMs: 5 * MINUTE_MS, show: true };
    const { code } = await context.run(process.execPath, ['--test', ...shown, ...kept, ...files], options);
    return fromTap(await readFile(tap, 'utf8').catch(() => ''), code);
  },
});

const regoTests = (name) => ({
  name,
  run: async (context) => {
    const args = ['test', '--format', 'json', '--ignore', 'bundle', 'policies'];
    const options = { cwd: context.root, deadlineMs: 5 * MINUTE_MS };
    const { code, out, stdout } = await context.run(join(context.binDir, 'opa'), args, options);
    const results = parse(stdout);
    const counts = fromOpa(results, code);
    for (const each of results ?? []) if (each.fail || each.error) console.error(`✗ ${each.package}.${each.name}`);
    if (counts.failed > 0) console.error(Array.isArray(results) ? `${results.length} Rego tests found` : out);
    return counts;
  },
});

const bundle = (name) => ({
  name,
  run: async (context) => {
    const options = { cwd: context.root, deadlineMs: 5 * MINUTE_MS, show: true };
    const args = [join(context.root, 'scripts', 'bundle.mjs'), '--check'];
    return fromExitCode((await context.run(process.execPath, args, options)).code);
  },
});

const vitest = (name, deadlineMs) => ({
  name,
  run: async (context, reports) => {
    const report = join(reports, `${name}.json`);
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const command = join(context.root, 'node_modules', '.bin', 'vitest');
    const options = { cwd: context.root, extraEnv: context.projectEnv, deadlineMs, show: true };
    const { code } = await context.run(command, ['run', '--project', name, ...reporters], options);
    return fromVitest(parse(await readFile(report, 'utf8').catch(() => '')), code);
  },
});

/** Told, not judged: figures depend on the machine. It fails only where a benchmark could not be run, or a kill did not hold. */
const bench = (name, ...args) => ({
  name,
  run: async (context) => {
    const options = { cwd: context.root, extraEnv: context.projectEnv, deadlineMs: 5 * MINUTE_MS, show: true };
    const file = join(context.root, 'test', 'bench', 'main.ts');
    return fromExitCode(
      (await context.run(join(context.root, 'node_modules', '.bin', 'node'), [file, ...args], options)).code,
    );
  },
});

export const steps = [
  nodeTests('setup', 'scripts'),
  check('lint', ['biome', 'check', '.']),
  check('types', ['tsc']),
  regoTests('rego'),
  bundle('bundle'),
  vitest('unit', 12 * MINUTE_MS),
  vitest('integration', 20 * MINUTE_MS),
  vitest('e2e', 25 * MINUTE_MS),
  bench('bench', 'kill', '--rounds', '5', '--standing', '0'),
];
