import { request } from 'node:http';
import { connect } from 'node:net';
import { openHome } from '@agentgate/ground';
import { mintBearer } from '@agentgate/ground/jwt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { openMcp, postMcp, tokenOf } from '../fixtures/mcp-client.ts';
import { contentOf, createSearch, filesUnder } from '../secret-search.ts';
import { type Stack, startStack } from '../stack.ts';

// Whoever reaches the port of mcp-edge: without a token, with one that is not good, and with a good one and bad intent.

let stack: Stack;
let other: Stack;
let pids: Record<string, number>;

beforeAll(async () => {
  [stack, other] = await Promise.all([startStack(), startStack()]);
  pids = stack.pids();
});
afterAll(async () => {
  await Promise.all([stack?.stop(), other?.stop()]);
});

const list = '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}';
const callOf = (args: string) =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"probe__echo","arguments":${args}}}`;
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const permissions = { pub: ['agent.demo.>'], sub: ['_INBOX_demo.>'] };

const tampered = (token: string, change: (claims: Record<string, unknown>) => void): string => {
  const [head = '', body = '', signature = ''] = token.split('.');
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>;
  change(claims);
  return [head, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
};
const jwtOf = (creds: string) => /eyJ[\w.-]+/.exec(creds)?.[0] ?? '';
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string };

type Forged = [what: string, headers: () => Record<string, string> | Promise<Record<string, string>>];
const forged: Forged[] = [
  ['nothing', () => ({ authorization: '' })],
  ['another scheme', () => ({ authorization: `Basic ${tokenOf(stack)}` })],
  ['a text', () => bearer('let-me-in')],
  ['three parts of nothing', () => bearer('eyJh.eyJh.eyJh')],
  ['16 KB', () => bearer(`eyJ${'a'.repeat(16_000)}.eyJh.eyJh`)],
  ['the JWT of credentials, which needs their key', () => bearer(jwtOf(stack.creds('agent-demo')))],
  ["an operator's JWT", () => bearer(jwtOf(stack.creds('operator')))],
  ["a service's JWT", () => bearer(jwtOf(stack.creds('ingress')))],
  ['a token of another deployment', () => bearer(tokenOf(other))],
  [
    'a token in another name',
    () => bearer(tampered(tokenOf(stack), (claims) => Object.assign(claims, { name: 'second' }))),
  ],
  [
    'a token that the tenant of its name did not sign',
    async () => {
      const accountSeed = openHome(other.home).tenant('default');
      const { sub: user } = claimsOf(tokenOf(stack));
      const token = await mintBearer({ name: 'demo', accountSeed, permissions, user });
      return bearer(token);
    },
  ],
  [
    'a token of an account that is no tenant',
    async () => {
      const { sub: user } = claimsOf(tokenOf(stack));
      return bearer(await mintBearer({ name: 'demo', accountSeed: openHome(stack.home).core.OPS, permissions, user }));
    },
  ],
  [
    'a token for everybody',
    async () => {
      const { sub: user } = claimsOf(tokenOf(stack));
      const accountSeed = openHome(stack.home).tenant('default');
      return bearer(await mintBearer({ name: '*', accountSeed, permissions, user }));
    },
  ],
];

test.each(forged)('%s is no token: nothing is opened for it', async (_, headers) => {
  const response = await postMcp(stack, list, await headers());
  expect([401, 431]).toContain(response.status);
  if (response.status === 401) expect(response.headers.get('www-authenticate')).toMatch(/^Bearer /);
  expect(await response.text()).not.toContain('probe');
  const metrics = await (await fetch(stack.status.metrics['mcp-edge'] ?? '')).text();
  expect(metrics).toMatch(/^agentgate_mcp_sessions\{[^}]*\} 0$/m);
  expect(metrics).toMatch(/^agentgate_mcp_connections\{[^}]*\} 0$/m);
});

test('a token in the address is none', async () => {
  const response = await fetch(`${stack.status.mcp}?token=${tokenOf(stack)}&access_token=${tokenOf(stack)}`, {
    method: 'POST',
    body: list,
  });
  expect(response.status).toBe(401);
});

/** With headers that fetch would not send. */
const raw = (headers: Record<string, string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const req = request(
      stack.status.mcp,
      { method: 'POST', headers: { ...bearer(tokenOf(stack)), ...headers } },
      (res) => {
        res.resume();
        resolve(res.statusCode ?? 0);
      },
    );
    req.on('error', reject);
    req.end(list);
  });
const json = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

test('a page that a browser shows reaches nothing, whatever name it gives to this address', async () => {
  expect(await raw({ ...json, host: 'evil.example' })).toBe(403);
  expect(await raw({ ...json, host: '127.0.0.1.evil.example:8787' })).toBe(403);
  expect(await raw({ ...json, origin: 'https://evil.example' })).toBe(403);
  expect(await raw({ ...json, origin: 'null' })).toBe(403);
  expect(await raw({ ...json, origin: 'http://localhost:3000' })).toBe(200);
  expect(await raw({ ...json, host: 'localhost' })).toBe(200);
  // What a form can send without being asked.
  expect(await raw({ 'content-type': 'text/plain', accept: json.accept })).toBe(415);
});

/** Sends these bytes and nothing else; resolves with what came back once the server ends it, or at once without waiting for an answer. */
const send = (bytes: string, { leave = false } = {}): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(stack.status.mcp).port), '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
    socket.write(bytes, () => leave && socket.destroy());
  });
const faults = () => stack.output().split('an MCP request could not be served').length;

test.each([
  ['no Host', 'POST /mcp HTTP/1.0\r\n\r\n'],
  ['a Host with a blank', 'POST /mcp HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'],
  ['somebody in the Host', 'POST /mcp HTTP/1.1\r\nHost: me@localhost\r\nConnection: close\r\n\r\n'],
  ['an address that is none', 'POST http://[/mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'],
])('%s is refused as what it is, and no fault of ours to be logged', async (_, bytes) => {
  const before = faults();
  expect(await send(bytes)).toMatch(/^HTTP\/1\.1 400 /);
  expect(faults()).toBe(before);
});

test('who leaves in the middle of a request costs no line in the log', async () => {
  const before = faults();
  const headers = `Host: localhost\r\nAuthorization: Bearer ${tokenOf(stack)}\r\nContent-Length: 1000`;
  await send(`POST /mcp HTTP/1.1\r\n${headers}\r\n\r\n{`, { leave: true });
  await eventually('it is noticed', async () => {
    const metrics = await (await fetch(stack.status.metrics['mcp-edge'] ?? '')).text();
    return /^agentgate_mcp_answers_total\{[^}]*status="499"[^}]*\} 1$/m.test(metrics);
  });
  expect(faults()).toBe(before);
});

const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

test.each<[what: string, body: string | Uint8Array<ArrayBuffer>, names: RegExp, status?: number]>([
  ['nothing', '', /body/],
  ['no JSON', 'hello', /body/],
  ['a batch', `[${list},${list}]`, /not a JSON object/],
  ['bytes that are no UTF-8', new Uint8Array([0x7b, 0xff, 0x7d]), /UTF-8/],
  ['a name twice', list.replace('"id":1', '"id":1,"method":"ping"'), /\/method: duplicate key/],
  ['an argument twice', callOf('{"text":"a","text":"b"}'), /\/params\/arguments\/text: duplicate key/],
  ['__proto__', callOf('{"__proto__":{"a":1}}'), /__proto__/],
  ['a NUL', callOf('{"text":"a\\u0000b"}'), /NUL/],
  ['half a character', callOf('{"text":"\\ud800"}'), /surrogate/],
  ['a number that would be rounded', callOf('{"text":9007199254740993}'), /rounded/],
  ['arguments 40 deep', callOf(deep(40)), /deeper than/],
  ['513 keys', callOf(`{${Array.from({ length: 513 }, (_, i) => `"k${i}":1`).join()}}`), /more than 512 keys/],
  ['300 KB', callOf(`{"text":"${'a'.repeat(300_000)}"}`), /./, 413],
  ['2 MB', callOf(`{"text":"${'a'.repeat(2_000_000)}"}`), /./, 413],
])('%s is refused, with what is wrong', async (_, body, names, status = 400) => {
  const response = await postMcp(stack, body);
  expect(response.status).toBe(status);
  expect(await response.text()).toMatch(names);
});

test.each([
  ['no text', '%zz', /must be percent-encoded UTF-8/],
  ['bytes that are no UTF-8', '%ff', /must be percent-encoded UTF-8/],
  ['a long one', 'a'.repeat(8_193), /at most 8192/],
])('a purpose that is %s is refused', async (_, purpose, names) => {
  const response = await postMcp(stack, list, { 'agentgate-purpose': purpose });
  expect(response.status).toBe(400);
  expect(await response.text()).toMatch(names);
});

test.each([
  ['arguments that are no object', '"params":{"name":"probe__echo","arguments":[1]}'],
  ['a name that is none', '"params":{"name":{"a":1}}'],
  ['no parameters', '"params":null'],
  ['a name with a wildcard', '"params":{"name":"*","arguments":{}}'],
  ['a name beyond all names', `"params":{"name":"probe__${'x'.repeat(5_000)}","arguments":{}}`],
])('%s runs nothing', async (_, params) => {
  const before = stack.probe.starts();
  const response = await postMcp(stack, `{"jsonrpc":"2.0","id":1,"method":"tools/call",${params}}`);
  expect(await response.text()).toMatch(/"error"|"isError":true/);
  expect(stack.probe.starts()).toBe(before);
});

describe('with a good token', () => {
  test('nobody cancels what another agent runs, nor reads what it is told', async () => {
    const demo = await openMcp(stack, { era: 'legacy' });
    const running = demo.callTool({ name: 'probe__slow', arguments: { ms: 1_500, tag: 'not yours' } });
    await eventually('it runs', () => stack.probe.starts('not yours') === 1);
    const second = bearer(tokenOf(stack, 'agent-second'));
    for (let id = 0; id < 8; id++)
      for (const session of [{}, { 'mcp-session-id': 'guess' }])
        await postMcp(
          stack,
          `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id},"reason":"mine now"}}`,
          { ...second, ...session },
        );
    expect((await running).content).toEqual([{ type: 'text', text: 'slept' }]);
    await demo.close();
  });

  test('a flood of it costs others nothing but time', async () => {
    const flood = Array.from({ length: 400 }, (_, i) => postMcp(stack, callOf(`{"text":"flood ${i}"}`)));
    const second = await openMcp(stack, { user: 'agent-second' });
    expect(await second.callTool({ name: 'probe__echo', arguments: { text: 'beside a flood' } })).toMatchObject({
      content: [{ text: 'beside a flood' }],
    });
    for (const response of await Promise.all(flood)) {
      expect([200, 503]).toContain(response.status);
      await response.arrayBuffer();
    }
    await second.close();
  });
});

test('no token is in a log, in evidence, or anywhere else but in its file', async () => {
  const signature = tokenOf(stack).split('.')[2] ?? '';
  const isIn = createSearch([signature]);
  const files = filesUnder(stack.home).filter((file) => isIn(contentOf(file)));
  expect(files.map((file) => file.slice(stack.home.length + 1))).toEqual(['creds/agent-demo.token']);
  expect(isIn(Buffer.from(stack.output()))).toBe(false);
});

test('all of it left every service as it was', () => {
  expect(stack.pids()).toEqual(pids);
});
