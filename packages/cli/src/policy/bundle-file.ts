import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { firstProblem, parseConfig } from '@agentgate/contracts';
import { type SigningKey, signingKeyFromSeed } from '@agentgate/evidence';
import {
  type BundleFiles,
  bundleFiles,
  openBundle,
  parseAuthors,
  type Revision,
  revisionOfConfig,
  type SelfTest,
  selfTests,
  unenforceable,
} from '@agentgate/policy-engine';
import { parse } from 'yaml';
import { type CliContext, CliError } from '../context.ts';
import { askAs } from './ask.ts';
import { compileRego } from './opa.ts';

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
const standing = (isOwnRego: boolean): object => ({
  name: 'without a grant nothing is allowed',
  agent: { name: 'nobody', tenant: 'nowhere' },
  call: { tool: 'nowhere/nothing' },
  // Rego of one's own may know no grants.
  want: { action: 'deny', ...(!isOwnRego && { code: 'NO_GRANT' }) },
});

const readTests = (file: string | undefined, isOwnRego: boolean): SelfTest[] => {
  const told = file === undefined ? { v: 1, cases: [] as object[] } : readYaml(file);
  const written = told as { cases?: unknown };
  const cases = Array.isArray(written.cases) ? [standing(isOwnRego), ...written.cases] : written.cases;
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
  const gate = parseConfig(read(file).toString('utf8'), file, unenforceable);
  return bundleFiles(revisionOfConfig(gate, wasm), from.version, readTests(from.tests, from.rego !== undefined));
};

/** A bundle as a policy service of this home would open it. */
export const openForTest = (ctx: CliContext, file: string): Promise<Revision> => openArchive(ctx, read(resolve(file)));

const openArchive = (ctx: CliContext, archive: Uint8Array): Promise<Revision> => {
  const authors = join(ctx.home, 'keys', 'policy-authors.json');
  return openBundle(archive, parseAuthors(authors, read(authors).toString('utf8')));
};

/** The bundle by which the running stack decides; undefined where agentgate.yaml does. */
export const activeRevision = async (ctx: CliContext, as: string): Promise<Revision | undefined> => {
  const { bundle } = await askAs(ctx, as, 'policy-bundle', { v: 1 });
  return bundle === undefined ? undefined : openArchive(ctx, Buffer.from(bundle, 'base64'));
};
