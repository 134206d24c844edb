import { describe, expect, test } from 'vitest';
import { createEvaluator } from '../../src/engine/evaluator.ts';
import { loadEngine, requireSelfContained } from '../../src/engine/wasm.ts';
import { compileGrants } from '../../src/grants/compile.ts';
import { compile } from '../grants/grants.ts';
import { committedModule, inputFor } from './inputs.ts';

// The committed bundle, in this thread.

const policy = compile(`
  - { id: read, to: { labels: [dev] }, tools: ["fs/read_*"], where: { /path: { under: /srv/box } }, effect: allow }
  - { id: secret, to: { labels: [dev] }, tools: ["fs/*"], where: { /path: { under: /srv/box/secret } }, effect: deny }
  - { id: free, to: { agents: [demo] }, tools: [fs/open], effect: allow }
  - { id: crm, to: { agents: [demo] }, tools: ["crm/*"], effect: allow }
  - { id: big, to: { agents: [demo] }, tools: [crm/pay], where: { /amount: { min: 1000 } }, effect: require_approval }
  - { id: constructor, to: { agents: [demo] }, tools: [fs/proto], where: { /a: { equals: 1 } }, effect: allow }`);
const evaluate = await createEvaluator(policy, committedModule());
const decide = (tool: string, args: Record<string, unknown> = {}, labels?: string[]) => {
  const evaluation = evaluate(inputFor(tool, args, labels));
  if ('fault' in evaluation) throw new Error(evaluation.fault);
  return evaluation.result as { action: string; code: string; rule?: string; reason: string; obligations: object };
};

describe('decides by the grants and the arguments', () => {
  test.each<[string, Record<string, unknown>, string, string | undefined]>([
    ['fs/read_file', { path: '/srv/box/a' }, 'OK', 'read'],
    ['fs/read_file', { path: '/etc/passwd' }, 'ARGUMENT_NOT_ALLOWED', 'read'],
    ['fs/read_file', { path: '/srv/boxer' }, 'ARGUMENT_NOT_ALLOWED', 'read'],
    ['fs/read_file', {}, 'ARGUMENT_NOT_ALLOWED', 'read'],
    ['fs/read_file', { path: ['/srv/box/a'] }, 'ARGUMENT_NOT_ALLOWED', 'secret'],
    ['fs/read_file', { path: '/srv/box/secret/a' }, 'POLICY_DENIED', 'secret'],
    ['fs/read_file', { path: '/srv/box//secret/a' }, 'ARGUMENT_NOT_ALLOWED', 'secret'],
    ['fs/read_file', { path: '/srv/box/%73ecret/a' }, 'ARGUMENT_NOT_ALLOWED', 'secret'],
    ['fs/open', { path: '/srv/box/x/../secret/a' }, 'ARGUMENT_NOT_ALLOWED', 'secret'],
    ['fs/open', { path: '/srv/box/a' }, 'OK', 'free'],
    ['fs/open', {}, 'OK', 'free'],
    ['fs/write_file', { path: '/srv/box/a' }, 'NO_GRANT', undefined],
    ['crm/pay', { amount: 10 }, 'OK', 'crm'],
    ['crm/pay', { amount: 1000 }, 'APPROVAL_REQUIRED', 'big'],
    ['crm/pay', { amount: '1000' }, 'ARGUMENT_NOT_ALLOWED', 'big'],
    ['fs/proto', { a: 1 }, 'OK', 'constructor'],
  ])('%s %j: %s', (tool, args, code, rule) => {
    const decision = decide(tool, args);
    expect([decision.code, decision.rule]).toEqual([code, rule]);
  });
  test('names the argument and what is wrong with it', () => {
    expect(decide('fs/read_file', { path: '/etc/passwd' }).reason).toBe(
      'argument /path does not satisfy "under" of grant read: it is outside',
    );
  });
  test('an agent without the label has no grant', () => {
    expect(decide('fs/read_file', { path: '/srv/box/a' }, []).code).toBe('NO_GRANT');
  });
  test('the server’s credential is an obligation of what is allowed', () => {
    expect(decide('crm/list').obligations).toEqual({ credential: { name: 'crm-key', scope: 'read', ttl_s: 30 } });
    expect(decide('crm/pay', { amount: 1000 }).obligations).toEqual({});
    expect(decide('fs/open').obligations).toEqual({});
  });
});

test('explains with every grant that was weighed', () => {
  expect(evaluate(inputFor('fs/read_file', { path: '/etc/x' }), 'agentgate/explain')).toMatchObject({
    result: {
      decision: { code: 'ARGUMENT_NOT_ALLOWED' },
      grants: [
        { id: 'read', effect: 'allow', state: 'fails', pointer: '/path', condition: 'under', why: 'it is outside' },
        { id: 'secret', effect: 'deny', state: 'fails' },
      ],
    },
  });
});

describe('traps of the engine', () => {
  test('a grant whose condition nobody judged leaves no decision', async () => {
    const engine = await loadEngine(committedModule(), policy.data);
    expect(engine(inputFor('fs/read_file', { path: '/srv/box/a' }), 'agentgate/decision')).toEqual({});
    expect(engine({ ...inputFor('fs/open'), facts: { secret: { state: 'no' } } }, 'agentgate/decision')).toEqual({});
  });
  test('an input that is no call is no decision', async () => {
    const engine = await loadEngine(committedModule(), policy.data);
    for (const input of [{}, { call: null }, { agent: { name: 'demo', tenant: 'default', labels: 'dev' } }, []])
      expect(engine(input, 'agentgate/decision')).toEqual({});
  });
  test('refuses a module that needs builtins from outside', () => {
    expect(() => requireSelfContained({})).not.toThrow();
    expect(() => requireSelfContained({ 'time.now_ns': 0, sprintf: 1 })).toThrow(/time\.now_ns, sprintf/);
  });
  test('data with 10,000 grants is looked up, not scanned: the last decides like the first', async () => {
    const grants = Array.from({ length: 10_000 }, (_, i) => ({
      id: `g${i}`,
      to: { agents: [i === 9_999 ? 'demo' : `agent${i % 900}`] },
      tools: [`fs/tool${i % 97}`, `fs/t${i % 7}_*`],
      effect: 'allow' as const,
      where: { '/path': { under: `/srv/${i}` } },
    }));
    const many = await createEvaluator(compileGrants({ grants, servers: {}, credentials: {} }), committedModule());
    const allowed = inputFor('fs/tool8', { path: '/srv/9999/a' });
    expect(many(allowed)).toMatchObject({ result: { code: 'OK', rule: 'g9999' } });
    for (let i = 0; i < 500; i++) many(allowed);
    const begun = performance.now();
    for (let i = 0; i < 1_000; i++) many(allowed);
    // Twenty times what it takes on a quiet machine: scanning would take a hundred times more.
    expect((performance.now() - begun) / 1_000).toBeLessThan(0.4);
  });
  test('long strings cost the engine nothing: it gets their length and digest', () => {
    const long = inputFor('fs/open', { content: 'x'.repeat(250_000) });
    const begun = performance.now();
    for (let i = 0; i < 20; i++) expect(evaluate(long)).toMatchObject({ result: { code: 'OK' } });
    expect((performance.now() - begun) / 20).toBeLessThan(20);
  });
  test('decides the same after ten thousand other calls: no memory is lost between them', () => {
    for (let i = 0; i < 10_000; i++) evaluate(inputFor('fs/read_file', { path: `/srv/box/${i}`, n: i }));
    expect(decide('fs/read_file', { path: '/srv/box/a' }).code).toBe('OK');
    expect(decide('fs/read_file', { path: '/etc' }).code).toBe('ARGUMENT_NOT_ALLOWED');
  });
  test('more matching grants than a decision should weigh are no decision', async () => {
    const grants = Array.from({ length: 250 }, (_, i) => ({
      id: `g${i}`,
      to: { labels: [`l${i % 10}`] },
      tools: [`fs/*`],
      effect: 'allow' as const,
    }));
    const many = await createEvaluator(compileGrants({ grants, servers: {}, credentials: {} }), committedModule());
    const labels = Array.from({ length: 10 }, (_, i) => `l${i}`);
    expect(many(inputFor('fs/x', {}, labels.slice(0, 8)))).toMatchObject({ result: { code: 'OK' } });
    expect(many(inputFor('fs/x', {}, labels))).toEqual({ result: undefined });
  });
});
