import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { signingKeyFromSeed } from '@agentgate/evidence';
import { createProducer } from '@agentgate/runtime';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { startStack } from '../stack.ts';

// The log of a real run, untouched, read by Tessera's fsck and by golang.org/x/mod (./go).

const tessera = 'github.com/transparency-dev/tessera';
const pinned = 'v1.0.4';
const source = fileURLToPath(new URL('go', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'agentgate-real-log-'));
const go = (args: string[], env: Record<string, string>, cwd = work) =>
  spawnSync('go', args, { cwd, env: { ...process.env, CGO_ENABLED: '0', ...env }, encoding: 'utf8', timeout: 280_000 });

/** Why this cannot run here. A wrong sum is no such reason. */
function whyNot(): string | undefined {
  if (go(['version'], {}).status !== 0) return 'there is no Go on PATH';
  const got = go(['install', `${tessera}/cmd/fsck@${pinned}`], { GOBIN: work, GOFLAGS: '' });
  const isMissing = got.status !== 0 && !/checksum mismatch|SECURITY ERROR/.test(got.stderr);
  return isMissing ? `fsck cannot be installed: ${got.stderr.trim().split('\n').at(-1)}` : undefined;
}

const reason = whyNot();
if (reason !== undefined) console.warn(`NOT RUN: fsck and x/mod on a real log, since ${reason}`);

const log = join(work, 'log');
let vkey = '';
let origin = '';

beforeAll(async () => {
  if (reason !== undefined) return;
  const stack = await startStack();
  try {
    ({ vkey, origin } = stack.status.log);
    const producer = createProducer({
      bus: await stack.connect('ingress'),
      service: 'ingress',
      instance: 'independent',
      key: signingKeyFromSeed(readFileSync(join(stack.home, 'keys', 'sign', 'ingress.seed'), 'utf8').trim()),
      log: { warn: () => {}, error: () => {} },
      now: Date.now,
    });
    const data = { service: 'ingress', instance: 'independent', events: 1 };
    for (let i = 0; i < 7; i++) {
      await Promise.all(
        Array.from({ length: 111 }, () => producer.record({ name: 'producer.heartbeat', subject: 'x', data })),
      );
    }
    const sizeOf = () => Number(readFileSync(join(stack.status.log.dir, 'checkpoint'), 'utf8').split('\n')[1]);
    await eventually('the log has all of them', () => sizeOf() > 777, 30_000);
    await stack.halt('SIGTERM');
    cpSync(stack.status.log.dir, log, { recursive: true });
  } finally {
    await stack.stop();
  }
}, 180_000);
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** Its exit code says nothing. */
const fsck = (dir: string): string => {
  const key = join(work, 'log.vkey');
  writeFileSync(key, `${vkey}\n`);
  const args = [
    '60',
    join(work, 'fsck'),
    '--ui=false',
    `--storage_url=file://${dir}/`,
    `--public_key=${key}`,
    '-N',
    '64',
  ];
  return spawnSync('timeout', args, { encoding: 'utf8' }).stderr;
};

test.skipIf(reason !== undefined)("Tessera's fsck finds the log of a real run sound", { timeout: 90_000 }, () => {
  expect(fsck(log)).toContain("Successfully fsck'd");
});

test.skipIf(reason !== undefined).each(['tile/entries/001', 'tile/0/002'])(
  "Tessera's fsck finds out a changed byte of %s",
  { timeout: 90_000 },
  (path) => {
    const changed = join(work, path.replaceAll('/', '-'));
    cpSync(log, changed, { recursive: true });
    const bytes = readFileSync(join(log, path));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
    writeFileSync(join(changed, path), bytes);
    expect(fsck(changed)).not.toContain("Successfully fsck'd");
  },
);

test.skipIf(reason !== undefined)("Go's tlog and note find the log of a real run sound", { timeout: 120_000 }, () => {
  const built = go(['build', '-o', join(work, 'check'), '.'], { GOFLAGS: '-mod=readonly -buildvcs=false' }, source);
  expect([built.status, built.stderr]).toEqual([0, '']);
  const cases = { Origin: origin, LogVkey: vkey, WitnessVkey: '', Inclusion: [], Consistency: [] };
  writeFileSync(join(log, 'cases.json'), JSON.stringify(cases));
  const { status, stdout, stderr } = spawnSync(join(work, 'check'), [log], { encoding: 'utf8', timeout: 100_000 });
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^[0-9]{3} leaves, 0 inclusion proofs, 0 consistency proofs\n$/);
});
