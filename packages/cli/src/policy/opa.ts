import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { binaryFolders, findBinary, GroundError } from '@agentgate/ground';
import { memberOfBundle } from '@agentgate/policy-engine';
import { type CliContext, CliError } from '../context.ts';

// The real opa, for whoever writes Rego: the gate itself never runs it.

const buildMs = 120_000;
const testMs = 300_000;
const outputBytes = 16 * 1024 * 1024;
/** Of a compiler's many words. */
const maxLines = 8;
const testFile = '_test.rego';

const opaOf = (ctx: CliContext, what: string, or = ''): string => {
  const { AGENTGATE_BIN: bin, PATH: path } = ctx.environment;
  try {
    return findBinary(['opa'], binaryFolders({ root: ctx.root, bin, path }));
  } catch (error) {
    if (!(error instanceof GroundError)) throw error;
    throw new CliError(`${what}, and opa is not here: npm run setup -- --with-opa, or put it on PATH${or}`);
  }
};

interface Said {
  code: number;
  out: string;
  err: string;
}

const runOpa = (ctx: CliContext, opa: string, { args, timeout }: { args: string[]; timeout: number }): Promise<Said> =>
  new Promise((resolve, reject) => {
    // Both variables make opa optimise behind our back: data that is set later then counts as empty.
    const { EXPERIMENTAL_WASM_OPT: _, EXPERIMENTAL_WASM_OPT_ARGS: __, ...env } = ctx.environment;
    execFile(opa, args, { timeout, env, maxBuffer: outputBytes }, (error, out, err) => {
      if (error?.killed) reject(new CliError(`opa ${args[0]} was not done within ${timeout / 1000} s`));
      else resolve({ code: error ? Number(error.code ?? -1) : 0, out, err });
    });
  });

/** `<file>:<line>: …` where opa names them, with the file as it stands in the folder. */
export const problemsOf = (folder: string, said: string): string => {
  const lines = said
    .replaceAll(`${folder}/`, '')
    .split('\n')
    .map((line) => line.trim().replace(/^error: /, ''))
    .filter((line) => line !== '');
  const located = lines.flatMap((line) => /\S+\.(?:rego|json|ya?ml):\d+: .*$/.exec(line)?.[0] ?? []);
  const shown = located.length > 0 ? located : lines;
  const more = shown.length > maxLines ? [`and ${shown.length - maxLines} more`] : [];
  return [...shown.slice(0, maxLines), ...more].join('\n  ');
};

const filesOf = (folder: string): string[] => {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => !/^bundle(\/|$)/.test(file));
  } catch {
    throw new CliError(`${folder}: is no folder that can be read`);
  }
};

/** As `npm run bundle` does: without `-O`, with which data that is set later counts as empty. */
export const compileRego = async (ctx: CliContext, folder: string): Promise<Uint8Array<ArrayBuffer>> => {
  if (!filesOf(folder).some((file) => file.endsWith('.rego') && !file.endsWith(testFile)))
    throw new CliError(`${folder}: holds no Rego`);
  const opa = opaOf(ctx, `${folder} has to be compiled`);
  const work = mkdtempSync(join(tmpdir(), 'agentgate-policy-'));
  try {
    const output = join(work, 'bundle.tar.gz');
    const args = [
      ...['build', '-t', 'wasm', '--prune-unused', '--ignore', `*${testFile}`, '--ignore', 'bundle'],
      ...['--capabilities', join(ctx.root, 'policies', 'capabilities.json')],
      ...['-e', 'agentgate/decision', '-e', 'agentgate/explain', '-o', output, folder],
    ];
    const { code, out, err } = await runOpa(ctx, opa, { args, timeout: buildMs });
    if (code !== 0) throw new CliError(`${folder}: opa does not compile it:\n  ${problemsOf(folder, err || out)}`);
    const archive = readFileSync(output);
    const [wasm, data] = await Promise.all(['policy.wasm', 'data.json'].map((name) => memberOfBundle(archive, name)));
    if (!wasm) throw new CliError(`${folder}: opa compiled no Wasm of it`);
    if (data && Buffer.from(data).toString().trim() !== '{}')
      throw new CliError(
        `${folder}: holds data (JSON or YAML), which would not be in the bundle: its data is what the configuration says. Write it as Rego`,
      );
    return wasm;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
};

export interface RegoTests {
  folder: string;
  passed: number;
  /** Of those that did not pass, file and line with the name. */
  failed: string[];
}

/** The Rego tests of a folder; undefined where it holds none. Throws CliError where there are some and they cannot be run. */
export const testRego = async (ctx: CliContext, folder: string): Promise<RegoTests | undefined> => {
  const files = filesOf(folder).filter((file) => file.endsWith(testFile));
  if (files.length === 0) return undefined;
  const holds = `${folder} holds Rego tests (${files.length} files ending in ${testFile})`;
  const opa = opaOf(ctx, holds, '; --no-rego leaves them out');
  const args = ['test', '--format', 'json', '--ignore', 'bundle', folder];
  const { out, err } = await runOpa(ctx, opa, { args, timeout: testMs });
  const results = resultsOf(out);
  if (!results) throw new CliError(`${folder}: opa cannot run its tests:\n  ${problemsOf(folder, err || out)}`);
  const failed = results
    .filter(({ fail, error, skip }) => fail || error || skip)
    .map(({ location, name, skip }) => `${at(folder, location)}: ${name}${skip ? ' is skipped' : ''}`);
  // What counts as a test is opa's word, by the names of rules: a file of tests in which it finds none tests nothing.
  if (results.length === 0) failed.push(`${files.join(', ')}: opa finds no test in it`);
  return { folder, passed: results.filter(({ fail, error, skip }) => !fail && !error && !skip).length, failed };
};

interface OpaResult {
  location?: { file?: string; row?: number };
  name: string;
  fail?: unknown;
  error?: unknown;
  skip?: boolean;
}
const at = (folder: string, location: OpaResult['location']): string =>
  `${relative(folder, location?.file ?? folder)}:${location?.row ?? '?'}`;

const resultsOf = (out: string): OpaResult[] | undefined => {
  try {
    const parsed: unknown = JSON.parse(out.trim() || '[]');
    return Array.isArray(parsed) ? (parsed as OpaResult[]) : undefined;
  } catch {
    return undefined;
  }
};
