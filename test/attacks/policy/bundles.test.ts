import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { batchAsk, executeAsk, permit, runnerExecute } from '@agentgate/contracts';
import { generateSigningKey } from '@agentgate/evidence';
import { type BundleFiles, packBundle, signBundle } from '@agentgate/policy-engine';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../eventually.ts';
import { readEvidence } from '../../evidence-reader.ts';
import { testConfig } from '../../fixtures/config.ts';
import { changingServer, tell } from '../../fixtures/tool-file.ts';
import { type Agent, type Operator, openAgent, openOperator } from '../../parties.ts';
import { type Stack, startStack } from '../../stack.ts';
import { intrude } from '../intruder.ts';
import { allow, compile, type Engineer, openEngineer, takeBack, twoFaced, untilListed } from './bundles.ts';

// Somebody has an author's key and an engineer's credentials, and pushes what he likes to a gate that serves.

let stack: Stack;
let demo: Agent;
let second: Agent;
let operator: Operator;
let engineer: Engineer;
let session: string;
let pid: number;

beforeAll(async () => {
  stack = await startStack({
    config: ({ dir, probeLog }) => {
      const file = join(dir, 'files.json');
      tell(file, [
        { name: 'note', description: 'Notes a text.' },
        { name: 'hidden', description: 'Notes a text.\u202e' },
      ]);
      const servers = changingServer('files', { file, log: probeLog });
      const more = 'approvals: { people: { second: {} } }\n';
      return testConfig({ probeLog, servers, more });
    },
  });
  [demo, second] = [await openAgent(stack), await openAgent(stack, 'agent-second')];
  operator = await openOperator(stack);
  engineer = await openEngineer(stack);
  session = await demo.open('echo');
  for (const tool of ['probe/echo', 'files/hidden', 'files/note']) await untilListed(operator, tool);
  pid = stack.pid('policy');
});
afterAll(() => stack?.stop());

const said = async (args: object = {}, tool = 'probe/echo') => {
  const { status, code } = await demo.call(session, tool, { text: 'hello', ...args });
  return `${status} ${code}`;
};
/** It lives, it is the same process, and decides by what agentgate.yaml says. */
const unharmed = async () => {
  expect(stack.pid('policy')).toBe(pid);
  expect(await said()).toBe('ok OK');
  expect(await said({}, 'probe/danger')).toBe('denied POLICY_DENIED');
};
const unavailable = 'unavailable POLICY_UNAVAILABLE';
let version = 0;
const roll = async (rego: string) => {
  version++;
  const archive = await engineer.signed(engineer.files(version, await compile(stack.dir, twoFaced(rego))));
  expect(await engineer.push(archive)).toMatchObject({ status: 'pushed', version });
  expect(await engineer.activate(version)).toMatchObject({ status: 'activated', version });
};
const back = async () => {
  expect(await takeBack(stack)).toMatchObject({ status: 'activated', version: 0 });
  await unharmed();
};

describe('a policy that allows everything', () => {
  beforeAll(() =>
    roll(`${allow('not input.call.arguments.ask')}
decision := {"action": "require_approval", "code": "APPROVAL_REQUIRED", "reason": "ask", "rule": "ask", "obligations": {"approvers": {"min": 1}}} if { input.session.id != "ses_self-test00"; input.call.arguments.ask; not input.approval }
decision := {"action": "allow", "code": "OK", "reason": "asked", "rule": "ask", "obligations": {}} if { input.session.id != "ses_self-test00"; input.call.arguments.ask; input.approval }`),
  );
  afterAll(back);

  test('allows what a grant denied, and so far its author is believed', async () => {
    expect(await said({}, 'probe/danger')).toBe('ok OK');
  });
  test('allows no quarantined tool, no unknown one, and nobody else’s session', async () => {
    expect(await said({}, 'files/hidden')).toBe('denied TOOL_QUARANTINED');
    expect(await said({}, 'files/none')).toBe('denied UNKNOWN_TOOL');
    expect(await second.call(session, 'probe/echo', { text: 'x' })).toMatchObject({ code: 'UNKNOWN_SESSION' });
  });
  test('lets nobody approve his own call', async () => {
    const own = await second.open('note');
    const ask = (more: object = {}) => second.call(own, 'files/note', { text: 'own', ask: true }, more);
    const { approval } = await ask();
    const bus = await stack.connect('second');
    const body = JSON.stringify({ v: 1, approval: approval?.id });
    const told = await bus.requestRaw('ops.second.approve', body, { of: 'approvals', timeoutMs: 8_000 });
    expect(JSON.parse(new TextDecoder().decode(told))).not.toMatchObject({ status: 'granted' });
    expect((await ask({ approval: approval?.id })).status).not.toBe('ok');
    expect(stack.probe.starts('own')).toBe(0);
  });
  test('gives permits of its own revision, as the event says it, that live five seconds at most however long the call may take', async () => {
    const tap = await intrude(stack, await stack.mint('CORE', 'tap', [], [runnerExecute.subject]));
    expect(await tap.isRefusedToHear(runnerExecute.subject)).toBe(false);
    const { evidence: ids, call } = await demo.call(session, 'probe/echo', { text: 'long' }, { timeout_ms: 10_000 });
    const heard = () =>
      tap.heard.flatMap((msg) => batchAsk.parse(msg.json()).items.map(({ ask }) => executeAsk.parse(ask)));
    const ask = await eventually('the permit is seen', () => heard().find((each) => each.call === call));
    const { claims } = permit.parse(ask.permit);
    expect(claims.expires_at - claims.issued_at).toBeLessThanOrEqual(5_000);
    const evidence = await readEvidence(stack);
    const { data } = await evidence.event('call.decided', ids?.decided);
    expect(claims.policy).toEqual(data.policy);
    expect(claims.policy.revision).toMatch(/^v1-/);
    await Promise.all([tap.close(), evidence.close()]);
  });
  test('allows nothing that is killed', async () => {
    await operator.kill({ kind: 'session', id: session });
    expect(await said()).toBe('killed KILLED_SESSION');
    await operator.lift({ kind: 'session', id: session });
    expect(await said()).toBe('ok OK');
  });
});

describe('a policy that harms when it decides denies that call alone, and is taken back', () => {
  test.each<[string, string]>([
    [
      'hangs',
      'decision := {"n": count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a * b == input.now])} if input.call.arguments.harm',
    ],
    ['throws', 'decision := x if { input.call.arguments.harm; some x in [{"action": "allow"}, {"action": "deny"}] }'],
    [
      'takes memory without end',
      `${Array.from({ length: 22 }, (_, i) => `s${i + 1} := concat("", [s${i}, s${i}])`).join('\n')}\ns0 := concat("", ["${'x'.repeat(1024)}", input.call.tool])\ndecision := {"action": "allow", "code": "OK", "reason": s22, "obligations": {}} if input.call.arguments.harm`,
    ],
    [
      'answers without end',
      'decision := {"action": "allow", "code": "OK", "reason": "all", "rule": "all", "obligations": {"x": [numbers.range(1, 3000) | some _ in numbers.range(1, 60)]}} if input.call.arguments.harm',
    ],
  ])('%s', async (_, rego) => {
    await roll(`${allow('not input.call.arguments.harm')}\n${rego}`);
    try {
      const harm = Promise.all([1, 2, 3].map(() => said({ harm: true })));
      const others = await Promise.all(Array.from({ length: 20 }, () => said()));
      // A call that waits beside for a new worker may be told so where the machine is busy; nobody gets another decision.
      expect([...new Set(others)].filter((one) => !['ok OK', unavailable].includes(one))).toEqual([]);
      expect((await harm).filter((one) => ![unavailable, 'denied POLICY_INVALID'].includes(one))).toEqual([]);
      await eventually('others go on', async () => (await said()) === 'ok OK');
    } finally {
      // And that while it does its worst.
      const worst = Promise.all([1, 2, 3].map(() => said({ harm: true })));
      await back();
      await worst;
    }
  });
});

describe('what is pushed and is no policy is refused, and nothing changes', () => {
  const honest = () => new Uint8Array(readFileSync(new URL('../../../policies/bundle/policy.wasm', import.meta.url)));
  const json = (text: string) => new Uint8Array(Buffer.from(text));
  const block = (name: string) => {
    const header = Buffer.alloc(512);
    header.write(name);
    header.write('0000644\0', 100);
    header.write('00000000000\0', 124);
    header.write('        ', 148);
    header.write('0', 156);
    header.write(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, '0')}\0 `,
      148,
    );
    return gzipSync(Buffer.concat([header, Buffer.alloc(1024)]));
  };
  const hangs =
    'decision := {"n": count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a * b == input.now])}';
  const many = () => json(`{"x":[${'0,'.repeat(8_000_000)}0]}`);
  const other = generateSigningKey();
  test.each<[string, (files: BundleFiles) => Promise<Uint8Array>, RegExp]>([
    ['a path that climbs out', async () => block('../../keys/permit.seed'), /bundle: holds "\.\.\/\.\.\/keys/],
    ['an absolute path', async () => block('/etc/cron.d/x'), /bundle: holds "\/etc\/cron\.d\/x"/],
    ['a bomb', async () => gzipSync(Buffer.alloc(64 * 1024 * 1024)), /bundle: unpacks to more than/],
    ['no signature', (files) => packBundle(files), /\.signatures\.json: is missing/],
    ['a stranger’s signature', async (files) => packBundle(await signBundle(files, other)), /is not of an author/],
    [
      'a stranger’s signature under the author’s name',
      async (files) => packBundle(await signBundle(files, { ...other, seed: other.seed, keyid: engineer.key.keyid })),
      /the signature is not good/,
    ],
    [
      'other data under the signature of what was signed',
      async (files) => packBundle({ ...(await signBundle(files, engineer.key)), 'data.json': json('{}') }),
      /data\.json: is not what was signed/,
    ],
    [
      'millions of values under the signature of what was signed',
      async (files) => packBundle({ ...(await signBundle(files, engineer.key)), 'data.json': many() }),
      /data\.json: holds more than 1000000 values/,
    ],
    [
      'a builtin that is not there',
      async () => engineer.signed(engineer.files(99, await compile(stack.dir, 'decision := {"n": time.now_ns()}'))),
      /policy\.wasm: .*time\.now_ns/,
    ],
    [
      'a thousand cases that each hang',
      async () => engineer.signed(engineer.files(99, await compile(stack.dir, hangs), 1_000)),
      /tests\.json: "case 0" wants deny, and gets no decision POLICY_UNAVAILABLE/,
    ],
  ])('%s', async (_, make, why) => {
    const archive = await make(engineer.files(99, honest()));
    const pushed = engineer.push(archive);
    const meanwhile = await said();
    expect(await pushed).toMatchObject({ code: 'POLICY_INVALID', reason: expect.stringMatching(why) });
    expect(['ok OK', unavailable]).toContain(meanwhile);
    await unharmed();
  });

  test('each of them is in evidence with who pushed it', async () => {
    const evidence = await readEvidence(stack);
    const rejected = await eventually('ten are', () => {
      const all = evidence.all('policy.rejected');
      return all.length >= 10 && all;
    });
    expect(new Set(rejected.map(({ data }) => `${data.stage} by ${data.by}`))).toEqual(new Set(['push by engineer']));
    await evidence.close();
  });
});
