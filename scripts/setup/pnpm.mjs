// Node 26 and every other package, by the pinned pnpm, which npx fetches.
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { exists, SetupError, versionOf } from './sources.mjs';
import { accepts, wanted } from './version.mjs';

const INSTALL_MS = 15 * 60_000;
const GROUPS = ['packages', 'services', 'examples'];

/** Everything that decides what pnpm installs and links. */
const inputs = async (root) => {
  const files = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml'];
  for (const group of GROUPS) {
    const names = await readdir(join(root, group)).catch(() => []);
    files.push(...names.sort().map((name) => join(group, name, 'package.json')));
  }
  return files;
};

const digestOf = async (context, pins) => {
  const hash = createHash('sha256').update(JSON.stringify(pins));
  for (const file of await inputs(context.root)) {
    hash.update(`\0${file}\0`).update(await readFile(join(context.root, file)).catch(() => ''));
  }
  return hash.digest('hex');
};

const isDone = async (context, { stamp, digest }) =>
  (await readFile(stamp, 'utf8').catch(() => '')) === digest && (await exists(context.node26));

/** Installs the packages of the lock file. Does and says nothing if that was done for this very lock file. */
export const packages = async (context, pins) => {
  const stamp = join(context.root, 'node_modules', '.agentgate-setup');
  const digest = await digestOf(context, { pnpm: pins.pnpm, node: pins.node });
  if (await isDone(context, { stamp, digest })) return;
  const lock = join(context.stateDir, 'packages.lock');
  await withLock(lock, { waitMs: INSTALL_MS, say: context.say }, async () => {
    if (await isDone(context, { stamp, digest })) return;
    context.say(`packages and Node 26: the npm registry, by pnpm ${pins.pnpm}`);
    const args = ['--yes', `pnpm@${pins.pnpm}`, 'install', '--frozen-lockfile'];
    // CI=1: pnpm must not stop to ask whether it may replace what another version of it had installed.
    const options = { cwd: context.root, extraEnv: { CI: '1' }, deadlineMs: INSTALL_MS };
    const { code, out } = await context.run('npx', args, options);
    if (code !== 0) {
      const tail = out.trim().split('\n').slice(-20).join('\n');
      throw new SetupError(`The packages could not be installed (is the npm registry reachable?). pnpm said:\n${tail}`);
    }
    const version = await versionOf(context, context.node26, ['--version']);
    if (version === undefined || !accepts(pins.node, version)) {
      throw new SetupError(
        `Please install Node.js ${wanted(pins.node)}: the npm package "node" brought ${version ?? 'nothing that runs here'}.`,
      );
    }
    await writeFile(stamp, digest);
  });
};
