import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createVerifier } from '@agentgate/evidence';
import { openLogFolder } from '../../packages/cli/src/evidence/log-folder.ts';
import {
  checkpointOf,
  createDeployment,
  entriesOf,
  signersOf,
  writeTiles,
} from '../../packages/evidence/test/verify/log-maker.ts';
import { createRandom } from '../../packages/evidence/test/verify/random.ts';
import { trustOf } from '../../packages/evidence/test/verify/trust.ts';

// How fast a log is verified, and in how much memory: a deployment's log of any size is written to a folder, then
// verified in a process of its own, once for its structure and once with seals, chains and times.

const seed = 1;
const goals = { structure: 100_000, seals: 10_000 };

interface Measured {
  entries: number;
  seconds: number;
  cpu_seconds: number;
  peak_mib: number;
  /** What the verifier still needs when it is at the last entry: the rest of the peak is what the engine has not collected yet. */
  retained_mib: number;
}

const build = (dir: string, { size, maxBatch }: { size: number; maxBatch: number }) => {
  const deployment = createDeployment(createRandom(seed), { maxBatch });
  const write = (path: string, bytes: Uint8Array | string) => {
    const file = join(dir, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  };
  const tree = writeTiles(entriesOf(deployment, size), write);
  write('checkpoint', checkpointOf(tree, signersOf(deployment, deployment.now + 1_000)));
};

const measure = async (dir: string, seals: boolean): Promise<Measured> => {
  const deployment = createDeployment(createRandom(seed));
  const read = await openLogFolder(dir);
  const [began, cpuBefore] = [performance.now(), process.cpuUsage()];
  let retained = 0;
  const onProgress = ({ entries, size }: { entries: number; size: number }) => {
    if (entries < size) return;
    globalThis.gc?.();
    retained = process.memoryUsage().heapUsed;
  };
  const trust = trustOf({ deployment });
  const verdict = await createVerifier({ trust, read, now: Date.now, seals, onProgress }).verify();
  const cpu = process.cpuUsage(cpuBefore);
  if (!verdict.ok) throw new Error(`the log was not found good: ${JSON.stringify(verdict.findings[0])}`);
  return {
    entries: verdict.checkpoint?.size ?? 0,
    seconds: (performance.now() - began) / 1_000,
    cpu_seconds: (cpu.user + cpu.system) / 1e6,
    peak_mib: process.resourceUsage().maxRSS / 1_024,
    retained_mib: retained / 2 ** 20,
  };
};

/** A process of its own, so that what one does does not count as another's memory. */
const inChild = (...args: string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (data) => {
      out += String(data);
    });
    child.once('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`${args[0]} failed with ${code}`))));
  });

const perSecond = ({ entries, cpu_seconds }: Measured) => Math.round(entries / cpu_seconds);

interface VerifyBench {
  json: boolean;
  entries: number;
  /** The most events that producers seal at once. */
  batch: number;
}

/** Prints both rates and the peak memory at a hundredth, a tenth and all of `entries`. False where a goal is missed. */
export const benchVerify = async ({ json, entries, batch }: VerifyBench): Promise<boolean> => {
  const rows: { structure: Measured; seals: Measured }[] = [];
  for (const size of [entries / 100, entries / 10, entries].map(Math.round)) {
    const dir = mkdtempSync(join(tmpdir(), 'agentgate-bench-verify-'));
    try {
      await inChild('build', dir, String(size), String(batch));
      const measured = async (mode: string) => JSON.parse(await inChild(mode, dir)) as Measured;
      rows.push({ structure: await measured('structure'), seals: await measured('seals') });
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }
  if (json) console.log(JSON.stringify(rows));
  else {
    console.log(
      'entries/s of one core’s time (of the clock); peak memory of the process, and what of it is needed at the end',
    );
    for (const row of rows) {
      for (const mode of ['structure', 'seals'] as const) {
        const m = row[mode];
        const clock = Math.round(m.entries / m.seconds);
        const rate = `${perSecond(m).toLocaleString('en')}/s (${clock.toLocaleString('en')}/s)`;
        console.log(
          `${String(m.entries).padStart(9)} ${mode.padEnd(10)} ${rate}   ${m.peak_mib.toFixed(0)} MiB, ${m.retained_mib.toFixed(1)} MiB`,
        );
      }
    }
  }
  const last = rows.at(-1);
  if (!last) return false;
  const isFast = perSecond(last.structure) >= goals.structure && perSecond(last.seals) >= goals.seals;
  if (!json) console.log(`${isFast ? '✓' : '✗'} at least 100,000/s of structure and 10,000/s with seals`);
  return isFast;
};

const [mode, dir, size, maxBatch] = process.argv.slice(2);
if (process.argv[1] === fileURLToPath(import.meta.url) && mode && dir) {
  if (mode === 'build') build(dir, { size: Number(size), maxBatch: Number(maxBatch) });
  else console.log(JSON.stringify(await measure(dir, mode === 'seals')));
}
