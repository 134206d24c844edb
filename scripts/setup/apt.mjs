// Debian's packages. Apt checks their signatures; versions are checked after unpacking, as for every source.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Absent } from './sources.mjs';

const UPDATE_MS = 120_000;
const INSTALL_MS = 300_000;
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const impatient = ['-o', 'Acquire::http::Timeout=5', '-o', 'Acquire::https::Timeout=5', '-o', 'Acquire::Retries=1'];
const lastLine = (out) => out.trim().split('\n').at(-1);

const apt = async (context, args, { cwd, deadlineMs }) => {
  const extraEnv = { DEBIAN_FRONTEND: 'noninteractive' };
  const { code, out } = await context.run('apt-get', ['-q', ...impatient, ...args], { cwd, extraEnv, deadlineMs });
  if (code !== 0) throw new Error(`apt-get: ${lastLine(out) || `exit code ${code}`}`);
};

/** Installs a package of this machine's own release. Only root may, and only where apt is. */
export const aptInstall = async (context, name) => {
  if (context.onPath('apt-get').length === 0) throw new Absent('there is no apt-get');
  if (!context.isRoot) throw new Absent('apt-get needs root');
  context.say(`installing Debian's ${name} with apt-get`);
  const install = ['-o', 'DPkg::Lock::Timeout=120', 'install', '-y', '--no-install-recommends', name];
  try {
    await apt(context, install, { deadlineMs: INSTALL_MS });
  } catch {
    // Most often the package lists are missing or old, as in a fresh container.
    await apt(context, ['update'], { deadlineMs: UPDATE_MS });
    await apt(context, install, { deadlineMs: INSTALL_MS });
  }
};

/** A program from a package that is installed if need be. It is linked, since it needs the libraries beside it. */
export const aptSource = (context, { package: name, file }) => ({
  what: `Debian's package ${name}`,
  get: async () => {
    await aptInstall(context, name);
    return { file, link: true };
  },
});

/** The mirror that this machine is set up with. */
const mirror = async (folder = '/etc/apt') => {
  const parts = await readdir(join(folder, 'sources.list.d')).catch(() => []);
  const files = [join(folder, 'sources.list'), ...parts.map((name) => join(folder, 'sources.list.d', name))];
  for (const file of files) {
    const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((line) => !line.startsWith('#'));
    const found = lines.map((line) => /\bhttps?:\/\/\S+\/debian(?=\/?(?:\s|$))/.exec(line)?.[0]).find(Boolean);
    if (found !== undefined) return found;
  }
  throw new Absent('no Debian mirror is set up');
};

/** Settings under which apt sees one suite, keeps all it fetches in `folder`, and leaves the machine alone. */
const privateApt = async (folder, suite) => {
  for (const name of ['lists/partial', 'cache/archives/partial']) await mkdir(join(folder, name), { recursive: true });
  const list = join(folder, 'sources.list');
  await writeFile(list, `deb [signed-by=${KEYRING}] ${await mirror()} ${suite} main\n`);
  const settings = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': join(folder, 'cache'),
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
  };
  return Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
};

/** A program out of a package of another suite of the same mirror, unpacked and not installed. Needs no root. */
export const debianPoolSource = (context, { package: name, suite, member }) => ({
  what: `Debian's package ${name} from ${suite}`,
  get: async (folder) => {
    if (context.onPath('apt-get').length === 0) throw new Absent('there is no apt-get');
    const settings = await privateApt(folder, suite);
    await apt(context, [...settings, 'update'], { cwd: folder, deadlineMs: UPDATE_MS });
    await apt(context, [...settings, 'download', name], { cwd: folder, deadlineMs: UPDATE_MS });
    const deb = (await readdir(folder)).find((each) => each.endsWith('.deb'));
    if (deb === undefined) throw new Error('apt-get brought no package');
    const root = join(folder, 'root');
    const { code, out } = await context.run('dpkg-deb', ['-x', join(folder, deb), root], { deadlineMs: UPDATE_MS });
    if (code !== 0) throw new Error(`dpkg-deb: ${lastLine(out)}`);
    return { file: join(root, member) };
  },
});
