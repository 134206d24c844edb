import { type Bus, silent } from '@agentgate/bus';
import { AgentGateError, type Contract, operatorVerbs } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { serveAll } from '../src/handlers.ts';
import type { KillSwitch } from '../src/service.ts';

type Raw = (body: Uint8Array, info: { subject: string }) => Promise<unknown>;
const none = () => Promise.reject(new Error('was asked'));

const setUp = (killSwitch: Partial<KillSwitch> = {}) => {
  const served = new Map<string, Raw>();
  const bus = {
    serveRaw: (contract: Contract, handler: Raw) => void served.set(contract.subject, handler),
    serve: () => {},
    serveBatch: () => {},
    hear: () => {},
  } as unknown as Pick<Bus, 'serve' | 'serveRaw' | 'serveBatch' | 'hear'>;
  const all = serveAll({
    bus,
    killSwitch: {
      kill: none,
      order: none,
      lift: none,
      release: none,
      list: () => expect.fail('was asked'),
      expire: none,
      ...killSwitch,
    },
    check: async () => [],
    log: silent,
  });
  const say = (verb: keyof typeof operatorVerbs, body: unknown, subject = `ops.v1.ann.${verb}`) =>
    (served.get(operatorVerbs[verb].subject) as Raw)(
      Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
      { subject },
    );
  return { say, all };
};
const good = { v: 1, scope: { kind: 'global' }, reason: 'why' };

test('the person is taken from the subject', async () => {
  const { say } = setUp({ lift: async (by) => ({ v: 1, status: 'lifted', epoch: by === 'ann' ? 1 : 0 }) });
  expect(await say('lift', good)).toEqual({ v: 1, status: 'lifted', epoch: 1 });
});

test.each([
  ['no JSON', '{', 'MALFORMED', 'body: not JSON'],
  ['a duplicate key', '{"v":1,"v":1}', 'FIELD_INVALID', '/v: duplicate key'],
  ['a person in the payload', { ...good, by: 'eve' }, 'FIELD_INVALID', '/by: unknown field'],
  ['no reason', { v: 1, scope: { kind: 'global' } }, 'FIELD_INVALID', '/reason: '],
  ['an empty reason', { ...good, reason: '' }, 'FIELD_INVALID', '/reason: '],
  ['a reason that is too long', { ...good, reason: 'x'.repeat(513) }, 'FIELD_INVALID', '/reason: '],
  ['an unknown kind', { ...good, scope: { kind: 'world' } }, 'FIELD_INVALID', '/scope/kind: '],
  ['a wildcard as agent', { ...good, scope: { kind: 'agent', id: '*' } }, 'FIELD_INVALID', '/scope/id: '],
  ['an id of global', { ...good, scope: { kind: 'global', id: 'x' } }, 'FIELD_INVALID', '/scope/id: unknown field'],
  ['no time to live', { ...good, expires_in_ms: 0 }, 'FIELD_INVALID', '/expires_in_ms: '],
  ['another version', { ...good, v: 2 }, 'FIELD_INVALID', '/v: '],
])('a kill with %s is invalid and names the field', async (_, body, code, reason) => {
  const { say } = setUp();
  expect(await say('kill', body)).toMatchObject({
    v: 1,
    status: 'invalid',
    code,
    reason: expect.stringMatching(new RegExp(`^${reason}`)),
  });
});

test('an operating failure is unavailable, with its code and reason', async () => {
  const { say } = setUp({
    kill: () => Promise.reject(new AgentGateError('KILL_SWITCH_UNAVAILABLE', 'the KILL stream did not acknowledge')),
  });
  expect(await say('kill', good)).toEqual({
    v: 1,
    status: 'unavailable',
    code: 'KILL_SWITCH_UNAVAILABLE',
    reason: 'the KILL stream did not acknowledge',
  });
});

test('an unknown error does not leave the service with its message', async () => {
  const { say } = setUp({ kill: () => Promise.reject(new Error('ECONNREFUSED 10.0.0.1')) });
  expect(await say('kill', good)).toEqual({ v: 1, status: 'unavailable', code: 'INTERNAL', reason: 'internal error' });
});

test('refuses a subject that holds no name of a person', async () => {
  const { say } = setUp();
  expect(await say('kill', good, 'ops.v1.*.kill')).toMatchObject({ status: 'invalid', code: 'MALFORMED' });
});

test('refuses more orders at once than it takes, and is idle when they are done', async () => {
  let finish = () => {};
  const held = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const { say, all } = setUp({ lift: () => held.then(() => ({ v: 1, status: 'lifted', epoch: 1 })) });
  const waiting = Array.from({ length: 1_024 }, () => say('lift', good));
  expect(await say('lift', good)).toMatchObject({ status: 'unavailable', code: 'OVERLOADED' });
  finish();
  await Promise.all(waiting);
  await all.idle(0);
  expect(await say('lift', good)).toMatchObject({ status: 'lifted' });
});
