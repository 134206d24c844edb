import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { ConfigError, firstProblem, parseConfig } from '@agentgate/contracts';
import { type SigningKey, signingKeyFromSeed } from '@agentgate/evidence';
import { binaryFolders, findBinary } from '@agentgate/ground';
import {
  type BundleFiles,
  bundleFiles,
  openBundle,
  parseAuthors,
  type Revision,
  revisionOfConfig,
  type SelfTest,
  selfTests,
  unpackBundle,
} from '@agentgate/policy-engine';
import { parse } from 'yaml';
import { type CliContext, CliError } from '../context.ts';

const read = (file: string, name = file): Buffer => {
  try {
    return readFileSync(file);
  } catch {
    throw new CliError(`${name}: cannot be read`);
  }
};

export const authorKey = (ctx: CliContext, file = join(ctx.home, 'keys', 'policy-author.seed')): SigningKey => {
  const seed = read(file, `--key: ${file}`).toString('utf8').trim();
  try {
    return signingKeyFromSeed(seed);
  } catch {
    throw new CliError(`--key: ${file} holds no seed`);
  }
};

/** A bundle that says nothing of what it wants is at least held to this: nobody without a grant gets anything. */
const standing: object = {
  name: 'without a grant nothing is allowed',
  agent: { name: 'nobody', tenant: 'nowhere' },
  call: { tool: 'nowhere/nothing' },
  want: { action: 'deny', code: 'NO_GRANT' },
};

const readTests = (file: string | undefined): SelfTest[] => {
  const told = file === undefined ? { v: 1, cases: [] as object[] } : readYaml(file);
  const written = told as { cases?: unknown };
  const cases = Array.isArray(written.cases) ? [standing, ...written.cases] : written.cases;
  const parsed = selfTests.safeParse({ ...written, cases });
  if (!parsed.success) throw new CliError(`${file ?? '--tests'}: ${firstProblem(parsed.error)}`);
  return parsed.data.cases;
};
const readYaml = (file: string): unknown => {
  try {
    return parse(read(file).toString('utf8'));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(
      `${file}: ${error instanceof Error ? error.message.split('\n')[0] : 'is neither JSON nor YAML'}`,
    );
  }
};

/** The files of a bundle, from the configuration and the Wasm of the checkout or of a folder of Rego. */
export const buildFiles = async (
  ctx: CliContext,
  from: { config?: string; rego?: string; tests?: string; version: number },
): Promise<BundleFiles> => {
  const file = from.config === undefined ? join(ctx.root, 'agentgate.yaml') : resolve(from.config);
  const wasm =
    from.rego === undefined
      ? new Uint8Array(read(join(ctx.root, 'policies', 'bundle', 'policy.wasm')))
      : await compileRego(ctx, resolve(from.rego));
  const gate = parseConfig(read(file).toString('utf8'), file);
  try {
    return bundleFiles(revisionOfConfig(gate, wasm), from.version, readTests(from.tests));
  } catch (error) {
    if (error instanceof ConfigError) throw new CliError(`${file}: ${error.message}`);
    throw error;
  }
};

const opaMs = 120_000;

/** As `npm run bundle` does: without `-O`, with which data that is set later counts as empty. */
const compileRego = async (ctx: CliContext, folder: string): Promise<Uint8Array<ArrayBuffer>> => {
  const { AGENTGATE_BIN: bin, PATH: path } = ctx.environment;
  const opa = findBinary(['opa'], binaryFolders({ root: ctx.root, bin, path }));
  const work = mkdtempSync(join(tmpdir(), 'agentgate-policy-'));
  try {
    const output = join(work, 'bundle.tar.gz');
    const args = [
      ...['build', '-t', 'wasm', '--prune-unused', '--ignore', '*_test.rego', '--ignore', 'bundle'],
      ...['--capabilities', join(ctx.root, 'policies', 'capabilities.json')],
      ...['-e', 'agentgate/decision', '-e', 'agentgate/explain', '-o', output, folder],
    ];
    const { EXPERIMENTAL_WASM_OPT: _, EXPERIMENTAL_WASM_OPT_ARGS: __, ...env } = ctx.environment;
    await promisify(execFile)(opa, args, { timeout: opaMs, env });
    const wasm = (await unpackBundle(readFileSync(output)))['policy.wasm'];
    if (!wasm) throw new CliError(`${folder}: opa compiled no Wasm of it`);
    return wasm;
  } catch (error) {
    if (error instanceof CliError) throw error;
    const said = (error as { stderr?: string }).stderr?.trim().split('\n').slice(0, 3).join('; ');
    throw new CliError(`${folder}: ${said || (error instanceof Error ? error.message : 'opa could not compile it')}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
};

/** A bundle as a policy service of this home would open it. */
export const openForTest = async (ctx: CliContext, file: string): Promise<Revision> => {
  const authors = join(ctx.home, 'keys', 'policy-authors.json');
  return openBundle(read(resolve(file)), parseAuthors(authors, read(authors).toString('utf8')));
};
