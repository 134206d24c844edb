import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { type BearerDoor, openBearerDoor } from '../fixtures/bearer-door.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, openAgent, openOperator, textOf } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

// Servers that tell nothing, not even their tools, to whoever brings no credential: the reference server of MCP over Streamable HTTP behind
// a door that answers 401, and a process that does not even start without its key.

const everything = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
);
const probe = fileURLToPath(new URL('../fixtures/probe-tools.ts', import.meta.url));
const listKey = `list-${randomBytes(18).toString('base64url')}`;
const callKey = `call-${randomBytes(18).toString('base64url')}`;
const localKey = `local-${randomBytes(18).toString('base64url')}`;

let reference: ChildProcess;
let door: BearerDoor;
let stack: Stack;
let demo: Agent;
let evidence: EvidenceReader;

beforeAll(async () => {
  const port = await freePort();
  reference = spawn(process.execPath, [everything, 'streamableHttp'], {
    stdio: 'ignore',
    env: { ...process.env, PORT: String(port) },
  });
  door = await openBearerDoor(port, [listKey, callKey]);
  await eventually('the reference server is up', () =>
    fetch(`http://127.0.0.1:${port}/mcp`).then(
      () => true,
      () => false,
    ),
  );
  stack = await startStack({
    config: ({ dir, probeLog }) => {
      writeFileSync(join(dir, 'list.key'), listKey, { mode: 0o600 });
      return testConfig({
        probeLog,
        servers: `  web:
    http: { url: "${door.url}" }
    credential: call-key
    inject: { header: Authorization, format: "Bearer {secret}" }
    list_with: list-key
  keyed:
    stdio: { command: sh, args: [-c, 'test -n "$PROBE_SECRET" && exec "${process.execPath}" "${probe}"'], env: { PROBE_LOG: "${probeLog}" } }
    credential: local-key
    inject: { env: PROBE_SECRET }
    list_with: local-key
`,
        grants: '  - { id: used, to: { agents: [demo] }, tools: [web/echo, "keyed/*"], effect: allow }',
        more: `credentials:
  list-key: { provider: static, from: { file: ./list.key } }
  call-key: { provider: static, from: { env: TEST_CALL_KEY } }
  local-key: { provider: static, from: { env: TEST_LOCAL_KEY } }
`,
      });
    },
    env: { TEST_CALL_KEY: callKey, TEST_LOCAL_KEY: localKey },
  });
  demo = await openAgent(stack);
  evidence = await readEvidence(stack);
}, 90_000);
afterAll(async () => {
  await stack?.stop();
  await door?.close();
  reference?.kill();
});

const toolsOf = async () => {
  const { tools } = await demo.ask('tools', { v: 1 });
  return (tools as { name: string }[]).map(({ name }) => name);
};

test('are listed with a lease of the gate’s own, permitted by policy, in evidence and ended', async () => {
  await eventually('the tools are there', async () => (await toolsOf()).includes('web/echo'), 30_000);
  await eventually('the tools are there', async () => (await toolsOf()).includes('keyed/echo'), 30_000);
  expect(new Set(door.passed.map(({ bearer }) => bearer))).toEqual(new Set([listKey]));
  expect(door.passed.map(({ method }) => method)).toEqual(expect.arrayContaining(['initialize', 'tools/list']));
  expect(door.refused).toEqual([]);
  const issued = await eventually('the lease is recorded', () =>
    evidence.all('lease.issued').find(({ data }) => data.credential === 'list-key'),
  );
  expect(issued).toMatchObject({ tenant: 'agentgate', agent: 'tool-runner', data: { provider: 'static' } });
  const ended = await eventually('it ended', () =>
    evidence.all('lease.revoked').find(({ data }) => data.lease === issued.data.lease),
  );
  expect(ended.data).toMatchObject({ why: 'released', proof: { kind: 'unprovable' } });
});

test('are called with the call’s own credential, from the handshake on', async () => {
  const before = door.passed.length;
  const session = await demo.open();
  const reply = await demo.call(session, 'web/echo', { message: 'through the door' });
  expect([reply.status, textOf(reply)]).toEqual(['ok', 'Echo: through the door']);
  const mine = door.passed.slice(before);
  expect(mine.filter(({ method }) => method === 'tools/call')).toEqual([{ method: 'tools/call', bearer: callKey }]);
  expect(mine.filter(({ method }) => method === 'initialize').map(({ bearer }) => bearer)).toContain(callKey);
  const local = await demo.call(session, 'keyed/leak', {});
  expect([local.status, JSON.stringify(local).includes(localKey)]).toEqual(['ok', false]);
});

test('are not even listed while everything is killed, and are again after', async () => {
  const operator = await openOperator(stack);
  await operator.kill({ kind: 'global' });
  const was = stack.pid('tool-runner');
  const before = door.passed.length;
  stack.kill('tool-runner', 'SIGKILL');
  await stack.restarted('tool-runner', was);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(door.passed.length).toBe(before);
  await operator.lift({ kind: 'global' });
  const session = await demo.open();
  await eventually(
    'it is called again',
    async () => (await demo.call(session, 'web/echo', { message: 'again' })).status === 'ok',
    30_000,
  );
});
