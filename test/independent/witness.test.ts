import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  checkWitnesses,
  generateSigningKey,
  NOTE_ED25519,
  noteVerifierKey,
  parseVkey,
  type SigningKey,
  verifyCheckpoint,
  witnessPolicy,
  witnessVerifierKey,
} from '@agentgate/evidence';
import { initWitness, readWitness } from '@agentgate/witness';
import { afterAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { testConfig } from '../fixtures/config.ts';
import { startStack } from '../stack.ts';

// Our witness asked by a log of Go's own tlog and note (./go/witness), and our log cosigned by transparency-dev's omniwitness.

const source = fileURLToPath(new URL('go', import.meta.url));
const omniwitness = 'github.com/transparency-dev/witness/cmd/omniwitness@v0.0.0-20260720115447-2e1c6971d19e';
const work = mkdtempSync(join(tmpdir(), 'agentgate-witness-'));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(work, { recursive: true, force: true });
});

const go = (args: string[], env: Record<string, string> = {}) =>
  spawnSync('go', args, {
    cwd: source,
    env: { ...process.env, CGO_ENABLED: '0', GOBIN: work, ...env },
    encoding: 'utf8',
    timeout: 100_000,
  });
/** Why something of Go's cannot be had here. A module whose sum is wrong is no such reason: then the build fails, and the test. */
const whyNot = (got: ReturnType<typeof go>): string | undefined => {
  if (got.error && 'code' in got.error && got.error.code === 'ENOENT') return 'there is no Go on PATH';
  if (got.error) return `Go took too long: ${got.error.message}`;
  if (got.status === 0 || /checksum mismatch|SECURITY ERROR/.test(got.stderr)) return undefined;
  return `Go cannot download it: ${got.stderr.trim().split('\n').at(-1)}`;
};
const modules = whyNot(go(['mod', 'download'], { GOFLAGS: '-mod=readonly' }));
const omni = modules ?? whyNot(go(['install', omniwitness], { GOFLAGS: '-mod=mod' }));
if (modules !== undefined) console.warn(`NOT RUN: Go's log against our witness, since ${modules}`);
if (omni !== undefined) console.warn(`NOT RUN: omniwitness as a witness of our log, since ${omni}`);

/** As golang.org/x/mod/sumdb/note writes a signing key. */
const skeyOf = (name: string, { seed, publicKey }: SigningKey): string => {
  const id = noteVerifierKey(name, publicKey).split('+')[1];
  const typed = Buffer.concat([Buffer.from([NOTE_ED25519]), Buffer.from(seed, 'base64url')]);
  return `PRIVATE+KEY+${name}+${id}+${typed.toString('base64')}`;
};
const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
const answers = (url: string) =>
  fetch(url).then(
    () => true,
    () => false,
  );

test.skipIf(modules !== undefined)("our witness cosigns the checkpoints of a log that is Go's own tlog", async () => {
  const built = go(['build', '-o', join(work, 'ask'), './witness'], { GOFLAGS: '-mod=readonly -buildvcs=false' });
  if (built.status !== 0) expect.fail(`go build: ${built.stderr}`);
  const [name, key] = ['go.example/log', generateSigningKey()];
  const folder = join(work, 'ours');
  initWitness(folder, { name: 'witness.example/w1', logs: [noteVerifierKey(name, key.publicKey)] });
  const port = await freePort();
  const main = fileURLToPath(new URL('../../packages/witness/src/main.ts', import.meta.url));
  const env = { ...process.env, AGENTGATE_WITNESS_DIR: folder, AGENTGATE_HTTP_PORT: String(port) };
  children.push(spawn(process.execPath, [main], { env, stdio: 'ignore' }));
  const url = `http://127.0.0.1:${port}`;
  await eventually('our witness answers', () => answers(url), 30_000);
  const { status, stdout, stderr } = spawnSync(join(work, 'ask'), [skeyOf(name, key), url, readWitness(folder).vkey], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '8 checkpoints cosigned\n', stderr: '' });
});

test.skipIf(omni !== undefined)('omniwitness cosigns our log, checkpoint after checkpoint', async () => {
  const [name, key] = ['omni.example/w1', generateSigningKey()];
  const vkey = witnessVerifierKey(name, key.publicKey);
  const port = await freePort();
  const more = `evidence: { quorum: 1, witnesses: [{ url: "http://127.0.0.1:${port}", vkey: "${vkey}" }] }\n`;
  // It knows a log by the key that the stack makes at its first start, so it is started after that.
  const stack = await startStack({ config: ({ probeLog }) => testConfig({ probeLog, more }) });
  try {
    const { log, witness } = stack.status;
    expect(witness?.vkey).toBe(vkey);
    writeFileSync(join(work, 'omni.key'), skeyOf(name, key), { mode: 0o600 });
    writeFileSync(
      join(work, 'logs.yaml'),
      `Logs:\n  - Origin: ${log.origin}\n    URL: http://127.0.0.1:1/\n    PublicKey: ${log.vkey}\n    Feeder: none\n`,
    );
    const flags = {
      private_key_path: join(work, 'omni.key'),
      additional_logs: join(work, 'logs.yaml'),
      db_file: join(work, 'omni.db'),
      listen: `127.0.0.1:${port}`,
      metrics_listen: `127.0.0.1:${await freePort()}`,
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    children.push(spawn(join(work, 'omniwitness'), args, { stdio: 'ignore' }));
    const trust = { origin: log.origin, keys: [parseVkey(log.vkey, NOTE_ED25519)] };
    const cosignedSize = () => {
      const verdict = verifyCheckpoint(readFileSync(join(log.dir, 'checkpoint')), trust);
      if (!verdict.ok) throw new Error(verdict.reason);
      const seen = checkWitnesses(verdict.note, witnessPolicy({ vkeys: [vkey], quorum: 1 }));
      return seen.ok ? verdict.checkpoint.size : 0;
    };
    let size = 0;
    for (let round = 0; round < 3; round++) {
      const before = size;
      const larger = () => {
        const found = cosignedSize();
        return found > before ? found : undefined;
      };
      size = await eventually('a larger checkpoint is cosigned', larger, 60_000);
    }
    expect(size).toBeGreaterThan(0);
  } finally {
    await stack.stop();
  }
});
