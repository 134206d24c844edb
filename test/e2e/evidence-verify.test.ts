import { spawn } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TILE_WIDTH, tilePath } from '@agentgate/evidence';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { openAgent } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

// The log that a running stack publishes, as an auditor verifies it: with the command, the folder and public keys.

const cli = fileURLToPath(new URL('../../packages/cli/bin/agentgate.mjs', import.meta.url));
let stack: Stack;
let deploymentKey: string;

interface Verdict {
  ok: boolean;
  size: number;
  sealed: number;
  key_authority: string;
  findings: { code: string; index?: number }[];
}
const verify = (...args: string[]): Promise<{ code: number | null; verdict: Verdict }> =>
  new Promise((resolve) => {
    const env = { ...process.env, AGENTGATE_HOME: stack.home };
    const child = spawn(process.execPath, [cli, 'evidence', 'verify', ...args, '--json'], { env });
    let out = '';
    child.stdout.on('data', (data) => {
      out += String(data);
    });
    child.once('close', (code) => resolve({ code, verdict: JSON.parse(out) as Verdict }));
  });
const callOnce = async () => {
  const agent = await openAgent(stack);
  const reply = await agent.call(await agent.open(), 'probe/echo', { text: 'in evidence' });
  expect(reply.status).toBe('ok');
};
const keys = () => ['--vkey', stack.status.log.vkey, '--deployment-key', deploymentKey];

beforeAll(async () => {
  stack = await startStack();
  const trust = JSON.parse(readFileSync(join(stack.home, 'keys', 'trust.json'), 'utf8')) as {
    keys: { service: string; public_key: string }[];
  };
  deploymentKey = trust.keys.find(({ service }) => service === 'deployment')?.public_key ?? expect.fail('no key');
  for (let i = 0; i < 5; i++) await callOnce();
});
afterAll(() => stack?.stop());

test('the running stack’s log is good, and remembered', async () => {
  const memory = join(stack.dir, 'seen.json');
  const first = await verify('--remember', memory);
  expect(first).toMatchObject({ code: 0, verdict: { ok: true, key_authority: 'deployment', findings: [] } });
  expect(first.verdict.sealed).toBe(first.verdict.size);
  await callOnce();
  // Its outcome was acknowledged, so it stands under a checkpoint; the published one may lag behind by a moment.
  await eventually('a longer log', async () => {
    const { code, verdict } = await verify('--remember', memory);
    expect({ code, ok: verdict.ok }).toEqual({ code: 0, ok: true });
    return verdict.size > first.verdict.size;
  });
});

test('the log of a stack that was killed and started again is good', async () => {
  await stack.restart('SIGKILL');
  await callOnce();
  expect(await verify()).toMatchObject({ code: 0, verdict: { ok: true, findings: [] } });
});

test('a copy of it is good by its files and two keys, over the web too, and not once an entry is changed', async () => {
  const copy = join(stack.dir, 'copy');
  cpSync(stack.status.log.dir, copy, { recursive: true });
  expect(await verify(copy, ...keys())).toMatchObject({ code: 0, verdict: { ok: true, key_authority: 'deployment' } });

  const server = createServer((request, response) => {
    try {
      response.end(readFileSync(join(copy, new URL(request.url ?? '', 'http://localhost').pathname)));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  expect(await verify(url, ...keys())).toMatchObject({ code: 0, verdict: { ok: true } });
  server.close();

  const { size } = (await verify(copy, ...keys())).verdict;
  const index = Math.floor((size - 1) / TILE_WIDTH);
  const bundle = join(copy, tilePath({ level: 'entries', index, width: size - index * TILE_WIDTH }));
  const bytes = readFileSync(bundle);
  bytes[bytes.length - 5] = (bytes[bytes.length - 5] as number) ^ 1;
  writeFileSync(bundle, bytes);
  const { code, verdict } = await verify(copy, ...keys());
  expect({ code, ok: verdict.ok }).toEqual({ code: 1, ok: false });
  expect(verdict.findings).toMatchObject([{ code: 'ENTRY_CHANGED', index: size - 1 }]);
});
