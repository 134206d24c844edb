// Takes a program from the first source that has it, and keeps it in the bin folder with a note of where it came from.
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256 } from './download.mjs';
import { withLock } from './lock.mjs';
import { accepts, findVersion, wanted } from './version.mjs';

const PROBE_MS = 10_000;
const LOCK_WAIT_MS = 20 * 60_000;

/** The set-up cannot go on; the message names what to install. Anything else that is thrown is a fault in the set-up. */
export class SetupError extends Error {}

/** What a source needs is simply not on this machine: nothing that anybody must be told, unless no other source works. */
export class Absent extends Error {}

/** The version that a program reports about itself; undefined if it does not run here. */
export const versionOf = async (context, file, versionArgs) => {
  const { code, out } = await context.run(file, versionArgs, { deadlineMs: PROBE_MS });
  return code === 0 ? findVersion(out) : undefined;
};

/** What is in the bin folder; it is kept if it is unchanged since it was put there, and still new enough for the pin. Undefined if it is not whole. */
const found = async (context, tool) => {
  try {
    const file = join(context.binDir, tool.name);
    const note = JSON.parse(await readFile(`${file}.json`, 'utf8'));
    const isUnchanged = note.sha256 === sha256(await readFile(file));
    return { note, file, isUnchanged, isKept: isUnchanged && accepts(tool.pin, note.version) };
  } catch {
    return undefined;
  }
};

/** Puts the program in place in one step, so that nobody ever sees half of it. The note comes last: no note, no program. */
const install = async (context, { tool, fresh, note }) => {
  const final = join(context.binDir, tool.name);
  await writeFile(`${fresh}.json`, `${JSON.stringify(note, null, 2)}\n`);
  await rm(`${final}.json`, { force: true });
  await rename(fresh, final);
  await rename(`${fresh}.json`, `${final}.json`);
};

/** One try. Throws with the reason when this source does not have it. */
const tryOne = async (context, { tool, source, folder }) => {
  const got = await source.get(folder);
  // Under its final name from here on: Redis acts by the name it is called by.
  await mkdir(join(folder, 'fresh'));
  const fresh = join(folder, 'fresh', tool.name);
  if (got.link) await symlink(got.file, fresh);
  else await rename(got.file, fresh);
  if (!got.link) await chmod(fresh, 0o755);
  const version = await versionOf(context, fresh, tool.versionArgs);
  if (version === undefined) throw new Error('what it has does not run on this machine');
  if (!accepts(tool.pin, version)) throw new Error(`it has ${version}, needed is ${wanted(tool.pin)}`);
  const note = { name: tool.name, version, source: got.from ?? source.what, sha256: sha256(await readFile(fresh)) };
  await install(context, { tool, fresh, note });
  return note;
};

const reason = ({ source, error }) => `${source.what}: ${error.message}`;

const firstThatWorks = async (context, tool) => {
  const passed = [];
  for (const source of tool.sources) {
    if (context.isStopped()) throw new SetupError(`${tool.name} is not installed: it was stopped`);
    const folder = await mkdtemp(join(context.binDir, '.tmp-'));
    try {
      const note = await tryOne(context, { tool, source, folder });
      const told = passed.filter(({ error }) => !(error instanceof Absent)).map(reason);
      const why = told.length === 0 ? '' : ` (passed over: ${told.join('; ')})`;
      context.say(`${tool.name} ${note.version}: ${note.source}${why}`);
      return note;
    } catch (error) {
      passed.push({ source, error });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  throw new SetupError(`${tool.advice}\nWhat was tried for ${tool.name}:\n  - ${passed.map(reason).join('\n  - ')}`);
};

/** Folders that a set-up left behind when it was killed. Only the holder of the lock may delete them. */
const sweep = async (binDir) => {
  for (const name of await readdir(binDir)) {
    if (name.startsWith('.tmp-')) await rm(join(binDir, name), { recursive: true, force: true });
  }
};

/** Makes sure that `tool` is in the bin folder. Does and says nothing if it is. */
export const take = async (context, tool) => {
  const already = await found(context, tool);
  if (already?.isKept) return already.note;
  await mkdir(context.binDir, { recursive: true });
  const lock = join(context.binDir, '.lock');
  return withLock(lock, { waitMs: LOCK_WAIT_MS, say: context.say }, async () => {
    const there = await found(context, tool);
    if (there?.isKept) return there.note;
    await sweep(context.binDir);
    if (there?.isUnchanged === false) context.say(`${there.file} changed since it was put there: taking it anew`);
    return firstThatWorks(context, tool);
  });
};

/** The machine's own program, linked rather than copied, so that its updates reach us. */
export const pathSource = (context, { names, pin, versionArgs }) => ({
  what: 'PATH',
  get: async () => {
    const found = names.flatMap((name) => context.onPath(name));
    if (found.length === 0) throw new Absent(`there is no ${names.join(' or ')}`);
    const seen = [];
    for (const file of found) {
      const version = await versionOf(context, file, versionArgs);
      if (version !== undefined && accepts(pin, version)) return { file, link: true, from: `PATH (${file})` };
      seen.push(`${file} is ${version ?? 'not runnable'}`);
    }
    throw new Error(`${seen.join(', ')}; needed is ${wanted(pin)}`);
  },
});

export const exists = (file) =>
  lstat(file).then(
    () => true,
    () => false,
  );
