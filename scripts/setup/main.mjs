// The set-up: plain JavaScript on Node 20 or newer, without packages, since it runs before there are any.
import { mkdir, readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { natsServer } from './nats.mjs';
import { opa } from './opa.mjs';
import { packages } from './pnpm.mjs';
import { redisServer } from './redis.mjs';
import { createRunner, onPath } from './run.mjs';
import { SetupError, take } from './sources.mjs';

const NODE_FLOOR = 20;
const UNWIND_MS = 8_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const architectures = { x64: 'amd64', arm64: 'arm64' };

/** What the parts of the set-up need of the world. Tests make their own. */
export const createContext = ({ env = process.env, say = (line) => console.log(`set-up: ${line}`) } = {}) => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const stateDir = join(root, '.agentgate');
  const binDir = resolve(env.AGENTGATE_BIN || join(stateDir, 'bin'));
  const nodeBin = join(root, 'node_modules', '.bin');
  const runner = createRunner({ env });
  return {
    root,
    stateDir,
    binDir,
    env,
    say,
    fetch,
    ...runner,
    node26: join(nodeBin, 'node'),
    onPath: (name) => onPath(name, { path: env.PATH, except: [binDir, nodeBin] }),
    isRoot: process.getuid?.() === 0,
    platform: `${process.platform}-${architectures[process.arch] ?? process.arch}`,
    /** For programs of the project: Node 26 first, and the servers where they are. */
    projectEnv: { ...env, AGENTGATE_BIN: binDir, PATH: [nodeBin, env.PATH].filter(Boolean).join(delimiter) },
  };
};

const readPins = async () => JSON.parse(await readFile(new URL('pins.json', import.meta.url), 'utf8'));

const checkPlatform = () => {
  if (Number(process.versions.node.split('.')[0]) < NODE_FLOOR) {
    throw new SetupError(`Please install Node.js ${NODE_FLOOR} or newer: this is ${process.version}.`);
  }
  if (process.platform === 'win32') throw new SetupError('Windows is not supported: please use WSL 2.');
};

const tools = async (context, pins, { withOpa }) => {
  await take(context, natsServer(context, pins['nats-server']));
  await take(context, redisServer(context, pins['redis-server']));
  if (withOpa) await take(context, opa(context, pins.opa, pins.go));
};

/** Installs what is missing. The packages and the servers do not wait for each other. */
export const setUp = async (context, { withOpa = false } = {}) => {
  checkPlatform();
  const pins = await readPins();
  // Keys will lie here: nobody else may look inside.
  await mkdir(context.stateDir, { recursive: true, mode: 0o700 });
  const done = await Promise.allSettled([packages(context, pins), tools(context, pins, { withOpa })]);
  const failed = done.find((each) => each.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
};

/**
 * Runs `work` with a context and returns the exit code. A signal ends what `work` started, and then `work` itself:
 * nothing more is started for it. `work` may call `release` to take over the signals.
 */
export const runMain = async (work) => {
  const context = createContext();
  let signalled;
  let unwind;
  const onSignal = (signal) => {
    if (signalled !== undefined) return;
    signalled = 128 + constants.signals[signal];
    context.stop();
    // Work that waits for something else than a program, such as a download, is left where it is.
    unwind = setTimeout(() => process.exit(signalled), UNWIND_MS).unref();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const release = () => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    // A signal that found nothing to stop did not make the work fail: what would come now must not begin.
    if (signalled !== undefined) throw new Error('ended by a signal');
  };
  try {
    const code = await work(context, { release });
    return signalled ?? code;
  } catch (error) {
    if (signalled === undefined) {
      console.error(error instanceof SetupError ? `\nset-up stopped. ${error.message}` : error);
    }
    return signalled ?? 1;
  } finally {
    await context.stop();
    clearTimeout(unwind);
  }
};
