import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { makeLog, publish, signersOf, vkeysOf } from '../../../evidence/test/verify/log-maker.ts';
import { registerVerify } from '../../src/evidence/verify.ts';
import { runnerOf, writeFiles } from './run.ts';

// The command as an auditor has it: a folder, keys on the command line, and nothing else.

vi.setConfig({ testTimeout: 60_000 });
const log = makeLog(11, 600);
const { keys } = log.deployment;
const vkeys = vkeysOf(keys);
const allKeys = ['--vkey', vkeys.log, '--witness', vkeys.witness, '--deployment-key', keys.deployment.publicKey];
let work: string;
let dir: string;

const run = (...args: string[]) => runnerOf(registerVerify)('verify', ...args);
const runIn = (home: string) => runnerOf(registerVerify, {}, home)('verify');

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'agentgate-verify-'));
  dir = writeFiles(join(work, 'log'), log.files);
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

test('finds a folder good, and says by whose word', async () => {
  const { code, stdout, stderr } = await run(dir, ...allKeys);
  expect(stderr).toBe('');
  expect(stdout).toContain('✓ 600 entries of log.example/agentgate: sealed, chained and in place\n');
  expect(stdout).toContain('time        2026-01-01T00:');
  expect(stdout).toContain(`log key     ${vkeys.log}\n`);
  expect(stdout).toContain('witnesses   witness.example/w1 at 2026-01-');
  expect(stdout).toContain(' recorded under the deployment’s key');
  expect(code).toBe(0);
});

test('says what nobody vouches for when fewer keys are given', async () => {
  const { code, stdout } = await run(dir, '--vkey', vkeys.log);
  expect(stdout).toContain('witnesses   none asked for: the holder of the log’s key can have rewritten or cut it');
  expect(stdout).toContain('taken on the log’s word, since no --deployment-key says whose they are');
  expect(code).toBe(0);
});

test('names the entry that was changed, what that means and what still holds, with exit code 1', async () => {
  const changed = writeFiles(join(work, 'changed'), log.files);
  const file = join(changed, 'tile/entries/001');
  const bytes = readFileSync(file);
  bytes[bytes.length - 5] = (bytes[bytes.length - 5] as number) ^ 1;
  writeFileSync(file, bytes);
  const { code, stdout } = await run(changed, ...allKeys);
  expect(stdout).toContain('✗ entry 511 was changed after it was sequenced\n');
  expect(stdout).toContain('means       Somebody with access to the files rewrote it');
  expect(stdout).toContain(
    'still holds The checkpoint of 600 entries is signed by log.example/agentgate, and cosigned by',
  );
  expect(stdout).toContain('Entries 0 to 510 are what that checkpoint was signed over, each at its place.');
  expect(code).toBe(1);
  const json = JSON.parse((await run(changed, ...allKeys, '--json')).stdout) as { findings: object[] };
  expect(json).toMatchObject({ ok: false, size: 600, first_bad_index: 511 });
  expect(json.findings[0]).toMatchObject({ code: 'ENTRY_CHANGED', index: 511 });
});

test('remembers what it found good, and finds out that the log was rolled back or forked', async () => {
  const memory = join(work, 'memory.json');
  expect((await run(dir, ...allKeys, '--remember', memory)).code).toBe(0);
  const again = await run(dir, ...allKeys, '--remember', memory);
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('it goes on from what was found good last') });
  const older = writeFiles(join(work, 'older'), publish(log.entries.slice(0, 400), signersOf(log.deployment, log.at)));
  const rolled = await run(older, ...allKeys, '--remember', memory);
  expect(rolled).toMatchObject({ code: 1, stdout: expect.stringContaining('✗ entries 400 to 599 are gone\n') });
  const entries = [...log.entries.slice(0, 570), ...makeLog(11, 700).entries.slice(590)];
  const forked = writeFiles(join(work, 'forked'), publish(entries, signersOf(log.deployment, log.at)));
  const found = await run(forked, ...allKeys, '--remember', memory);
  expect(found.stdout).toContain('the log does not go on from the 600 entries that this verifier saw');
  expect(found.code).toBe(1);
  const kept = JSON.parse(readFileSync(memory, 'utf8')) as { checkpoints: Record<string, string> };
  expect(kept.checkpoints['log.example/agentgate']).toBe(Buffer.from(log.files.get('checkpoint') ?? []).toString());
});

test('takes folder and keys of the running stack where none are given', async () => {
  const home = join(work, 'home');
  mkdirSync(join(home, 'keys'), { recursive: true });
  const status = {
    ...{
      v: 1,
      ready: true,
      pid: 1,
      started_at: '',
      nats: '',
      websocket: '',
      mcp: '',
      metrics: {},
      creds: '',
      config: '',
    },
    log: { origin: 'log.example/agentgate', dir, vkey: vkeys.log },
    witness: { url: 'http://127.0.0.1:1', vkey: vkeys.witness },
  };
  writeFileSync(join(home, 'status.json'), JSON.stringify(status));
  const own = { service: 'deployment', keyid: keys.deployment.keyid, public_key: keys.deployment.publicKey };
  writeFileSync(join(home, 'keys', 'trust.json'), JSON.stringify({ v: 1, keys: [own] }));
  const { code, stdout } = await runIn(home);
  expect(stdout).toContain('✓ 600 entries');
  expect(stdout).toContain('(1 of 1 asked for)');
  expect(stdout).toContain(' recorded under the deployment’s key');
  expect(code).toBe(0);
});

test('verifies over HTTP, and says with exit code 2 that a server fails', async () => {
  let isDown = false;
  const server = createServer((request, response) => {
    const bytes = log.files.get((request.url ?? '').slice(1));
    if (isDown) response.writeHead(500).end();
    else if (bytes) response.end(bytes);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    expect(await run(url, ...allKeys)).toMatchObject({ code: 0, stdout: expect.stringContaining('✓ 600 entries') });
    isDown = true;
    const { code, stdout, stderr } = await run(url, ...allKeys);
    expect({ code, stdout, stderr }).toEqual({
      code: 2,
      stdout: '',
      stderr: `agentgate: checkpoint cannot be read: ${url} answered 500\n`,
    });
  } finally {
    server.close();
  }
});

test.each<[string, () => string[], string]>([
  ['there is no folder', () => [join(work, 'nowhere'), ...allKeys], 'there is no folder '],
  ['the folder holds no log', () => [work, ...allKeys], 'holds no log: the file checkpoint is missing'],
  ['no key of the log is given', () => [dir], '--vkey is missing: without its key a log proves nothing'],
  ['the key of the log is none', () => [dir, '--vkey', 'x'], '--vkey: the verifier key is not <name>+'],
  [
    'a witness is no witness',
    () => [dir, '--vkey', vkeys.log, '--witness', vkeys.log],
    '--witness: the verifier key is of type 1, not 4',
  ],
  [
    'the quorum is beyond the witnesses',
    () => [dir, ...allKeys, '--quorum', '2'],
    '--witness: the quorum is not 1 to 1',
  ],
  [
    'the deployment’s key is none',
    () => [dir, '--vkey', vkeys.log, '--deployment-key', 'x'],
    '--deployment-key: the public key is not 32 bytes',
  ],
  [
    'what is remembered is unreadable',
    () => [dir, ...allKeys, '--remember', join(dir, 'checkpoint')],
    'does not hold what a verifier remembers',
  ],
  [
    'a scheme is unknown',
    () => ['ftp://log.example/', ...allKeys],
    'is neither a folder nor an address of http or https',
  ],
  ['nothing is named and nothing runs', () => [], 'nothing runs in '],
])('answers with exit code 2 and no verdict when %s', async (_, args, says) => {
  const { code, stdout, stderr } = await run(...args());
  expect(stderr).toContain(says);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});
