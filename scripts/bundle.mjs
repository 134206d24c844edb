// npm run bundle: compiles policies/ to policies/bundle/, which is committed; with --check it compares instead.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { memberOfTarGz } from './setup/archive.mjs';
import { runMain, setUp } from './setup/main.mjs';

const BUILD_MS = 120_000;
/** What the gate loads. The archive around them holds times, so it is neither committed nor compared. */
const COMMITTED = ['policy.wasm', '.manifest'];

/** Never `-O`: with it, data that is set later counts as empty, and everything is denied. */
const buildArgs = (output) => [
  ...['build', '-t', 'wasm', '--prune-unused', '--ignore', '*_test.rego', '--ignore', 'bundle'],
  ...['--capabilities', 'policies/capabilities.json', '-e', 'agentgate/decision', '-e', 'agentgate/explain'],
  ...['-o', output, 'policies'],
];

const build = async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'agentgate-bundle-'));
  try {
    const output = join(folder, 'bundle.tar.gz');
    // Both variables make opa optimise behind our back.
    const extraEnv = { EXPERIMENTAL_WASM_OPT: undefined, EXPERIMENTAL_WASM_OPT_ARGS: undefined };
    const options = { cwd: context.root, extraEnv, deadlineMs: BUILD_MS };
    const { code, out } = await context.run(join(context.binDir, 'opa'), buildArgs(output), options);
    if (code !== 0) throw new Error(`opa build failed:\n${out}`);
    const archive = await readFile(output);
    return COMMITTED.map((name) => ({
      name,
      bytes: memberOfTarGz(archive, `/${name}`) ?? memberOfTarGz(archive, name),
    }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

const check = async (folder, files) => {
  let code = 0;
  for (const { name, bytes } of files) {
    const committed = await readFile(join(folder, name)).catch(() => undefined);
    if (committed !== undefined && bytes !== undefined && committed.equals(bytes)) continue;
    console.error(
      `policies/bundle/${name} is not what policies/ compiles to: run "npm run bundle" and commit the result.`,
    );
    code = 1;
  }
  return code;
};

process.exitCode = await runMain(async (context) => {
  await setUp(context, { withOpa: true });
  const folder = join(context.root, 'policies', 'bundle');
  const files = await build(context);
  if (process.argv.includes('--check')) return check(folder, files);
  const missing = files.find(({ bytes }) => bytes === undefined);
  if (missing !== undefined) throw new Error(`opa built a bundle without ${missing.name}`);
  await mkdir(folder, { recursive: true });
  for (const { name, bytes } of files) await writeFile(join(folder, name), bytes);
  console.log('policies/bundle is up to date');
  return 0;
});
