import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Agent, openAgent } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

// Rego of one's own: tested and compiled by the real opa, signed, pushed, activated, and decided by. All by the command.

const config = `v: 1
tenants: { default: { agents: { demo: {} } } }
servers:
  probe: { stdio: { command: "${process.execPath}", args: ["${fileURLToPath(new URL('../bench/mcp-echo.ts', import.meta.url))}"] } }
grants:
  - { id: echoes, to: { agents: [demo] }, tools: [probe/echo], effect: allow }
`;
/** Nobody says more than eight characters. */
const rego = `package agentgate

default decision := {"action": "deny", "code": "POLICY_DENIED", "reason": "too long a word", "rule": "own/short", "obligations": {}}

decision := {"action": "allow", "code": "OK", "reason": "short", "rule": "own/short", "obligations": {}} if count(input.call.arguments.text) <= 8

explain := {"decision": decision, "packs": [], "grants": []}
`;
const tests = (wanted: string) => `package agentgate_test

import data.agentgate

test_short_words_pass if agentgate.decision.action == "allow" with input as {"call": {"arguments": {"text": "hello"}}}

test_long_words_do_not if agentgate.decision.action == "${wanted}" with input as {"call": {"arguments": {"text": "hello, world"}}}
`;

let stack: Stack;
let agent: Agent;
let session: string;
const checkout = fileURLToPath(new URL('../../', import.meta.url));
const cli = join(checkout, 'packages/cli/bin/agentgate.mjs');

const policy = (args: string[]) =>
  new Promise<{ code: number; error: string; answer: Record<string, unknown> & { rego?: Record<string, unknown> } }>(
    (resolve) => {
      const options = { timeout: 90_000 };
      execFile(process.execPath, [cli, '--home', stack.home, '--json', 'policy', ...args], options, (error, out) => {
        const answer = JSON.parse(out || '{}') as Record<string, unknown>;
        resolve({ code: error ? Number(error.code ?? -1) : 0, error: String(answer.error ?? ''), answer });
      });
    },
  );
const folderOf = (files: Record<string, string>): string => {
  const folder = mkdtempSync(join(stack.dir, 'rego-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
};
const build = (folder: string, more: string[] = []) => {
  const out = join(stack.dir, 'own.tar.gz');
  const args = ['--rego', folder, '--config', join(stack.dir, 'agentgate.yaml'), '--bundle-version', '1', '--out', out];
  return policy(['build', ...args, ...more]).then((built) => ({ ...built, out }));
};
const said = async (text: string) => {
  const { status, code } = await agent.call(session, 'probe/echo', { text });
  return `${status} ${code}`;
};
beforeAll(async () => {
  stack = await startStack({ config: () => config });
  agent = await openAgent(stack);
  session = await agent.open('echo');
});
afterAll(() => stack?.stop());

test('own Rego is tested, compiled, signed, pushed, activated, and decides', async () => {
  const folder = folderOf({ 'own/decision.rego': rego, 'own/decision_test.rego': tests('deny') });
  const cases = join(stack.dir, 'cases.yaml');
  const want = '{ action: deny, code: POLICY_DENIED, rule: own/short }';
  writeFileSync(
    cases,
    `{ v: 1, cases: [{ name: long, agent: { name: demo }, call: { tool: probe/echo, arguments: { text: "a long word" } }, want: ${want} }] }`,
  );
  const built = await build(folder, ['--tests', cases]);
  expect(built, built.error).toMatchObject({ code: 0 });
  const tested = await policy(['test', built.out, '--rego', folder]);
  expect(tested, tested.error).toMatchObject({ code: 0, answer: { rego: { passed: 2, failed: [] } } });
  const pushed = await policy(['push', built.out]);
  expect(pushed, pushed.error).toMatchObject({ code: 0, answer: { status: 'pushed', version: 1 } });
  expect(await said('hello, world')).toBe('ok OK');
  const activated = await policy(['activate', '1', '--reason', 'short words only']);
  expect(activated, activated.error).toMatchObject({ code: 0, answer: { status: 'activated' } });
  expect([await said('hello'), await said('hello, world')]).toEqual(['ok OK', 'denied POLICY_DENIED']);
  const explained = await policy([
    ...['explain', '--tool', 'probe/echo', '--agent', 'demo', '--args', '{"text":"hello, world"}'],
  ]);
  // By what is active, which the stack itself gives out.
  expect(explained, explained.error).toMatchObject({
    code: 2,
    answer: {
      policy: { revision: expect.stringMatching(/^v1-/) },
      explanation: { decision: { action: 'deny', rule: 'own/short' } },
    },
  });
  const back = await policy(['rollback', '--as', 'operator', '--reason', 'as it was']);
  expect(back, back.error).toMatchObject({ code: 0 });
  expect(await said('hello, world')).toBe('ok OK');
}, 240_000);

describe('an error names where', () => {
  test.each<[string, Record<string, string>, RegExp]>([
    [
      'Rego that does not parse',
      { 'own/d.rego': 'package agentgate\n\ndecision := {"a": 1\n' },
      /opa does not compile it:\n {2}own\/d\.rego:\d+: rego_parse_error: /,
    ],
    [
      'a builtin that the gate does not have',
      { 'd.rego': 'package agentgate\n\ndecision := {"at": time.now_ns()}\n\nexplain := {}\n' },
      /opa does not compile it:\n {2}d\.rego:3: rego_type_error: undefined function time\.now_ns/,
    ],
    [
      'a missing entry point',
      { 'd.rego': 'package agentgate\n\ndecision := {}\n' },
      /entrypoint "agentgate\/explain" does not refer to a rule/,
    ],
    ['a folder without Rego', { 'readme.md': '' }, /: holds no Rego$/],
    [
      'data, which a bundle has from the configuration',
      { 'd.rego': rego, 'own/data.json': '{"x":1}' },
      /: holds data \(JSON or YAML\)/,
    ],
  ])('%s', async (_, files, error) => {
    const built = await build(folderOf(files));
    expect(built.code).toBe(1);
    expect(built.error).toMatch(error);
  });

  test('a Rego test that fails', async () => {
    const folder = folderOf({ 'd.rego': rego, 'd_test.rego': tests('allow') });
    const tested = await policy(['test', (await build(folder)).out, '--rego', folder]);
    expect(tested).toMatchObject({
      code: 2,
      answer: { cases: 1, rego: { passed: 1, failed: ['d_test.rego:7: test_long_words_do_not'] } },
    });
  });

  test('a file of tests in which opa finds none', async () => {
    const folder = folderOf({ 'd.rego': rego, 'd_test.rego': 'package agentgate_test\n\ntets_it if 1 == 2\n' });
    const tested = await policy(['test', (await build(folder)).out, '--rego', folder]);
    expect(tested).toMatchObject({
      code: 2,
      answer: { rego: { passed: 0, failed: ['d_test.rego: opa finds no test in it'] } },
    });
  });
});
