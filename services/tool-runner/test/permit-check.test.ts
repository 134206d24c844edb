import { AgentGateError, type ExecuteAsk, type PermitClaims } from '@agentgate/contracts';
import { canonical, generateSigningKey, sealBatch } from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { createPermitCheck } from '../src/permit-check.ts';
import { type PermittedOptions, permitted, policyKey, ring } from './fixtures/permitted.ts';

const now = 1_700_000_000_000;
const check = (ask: ExecuteAsk, at = now) =>
  createPermitCheck({ keys: ring(), now: () => at, since: now - 1_000, upMs: () => 1_000 })(ask);
const refusalOf = (ask: ExecuteAsk, at?: number): { code: string; message: string } => {
  try {
    check(ask, at);
  } catch (error) {
    if (error instanceof AgentGateError) return { code: error.code, message: error.message };
    throw error;
  }
  return expect.fail('it passed');
};
const denied = (why: string) => ({ code: 'POLICY_DENIED', message: `permit: ${why}` });

test('gives the claims when policy signed this call and its time has come', () => {
  const ask = permitted({ now });
  expect(check(ask)).toEqual(ask.permit.claims);
});

test('refuses a permit that another key signed', () => {
  expect(refusalOf(permitted({ now, key: generateSigningKey() }))).toEqual(denied('policy did not sign it'));
});

test('refuses what policy signed for another purpose', () => {
  expect(refusalOf(permitted({ now, domain: 'agentgate-seal-v1' }))).toEqual(denied('policy did not sign it'));
});

test.each<[string, Partial<PermitClaims>]>([
  ['expiry', { expires_at: now + 60_000 }],
  ['tool', { tool: 'probe/write' }],
  ['obligations', { obligations: { credential: { name: 'crm-key' } } }],
])('refuses a permit whose %s was changed after signing', (_, change) => {
  const ask = permitted({ now });
  expect(refusalOf({ ...ask, permit: { ...ask.permit, claims: { ...ask.permit.claims, ...change } } })).toEqual(
    denied('policy did not sign it'),
  );
});

test.each([
  ['call', { call: 'call_other_00000' }],
  ['tenant', { tenant: 'other' }],
  ['agent', { agent: 'other' }],
  ['session', { session: 'ses_other_00000' }],
  ['tool', { tool: 'probe/write' }],
])('refuses a permit for another %s', (field, change) => {
  expect(refusalOf({ ...permitted({ now }), ...change })).toEqual(denied(`it is for another ${field}`));
});

test('refuses a call whose arguments are not those that were permitted', () => {
  expect(refusalOf({ ...permitted({ now }), arguments: { text: 'other' } })).toEqual(denied('it is for another call'));
});

test('refuses arguments without a canonical form', () => {
  expect(refusalOf({ ...permitted({ now }), arguments: { text: '\ud800' } })).toEqual({
    code: 'FIELD_INVALID',
    message: '/arguments: not JSON that has a canonical form',
  });
});

test.each<[string, PermittedOptions, number, { code: string; message: string }]>([
  ['expired', { now }, now + 5_000, denied('it has expired')],
  ['not valid yet', { now: now + 2_000 }, now, denied('it is not valid yet')],
  [
    'longer than a permit may live',
    { now, claims: { expires_at: now + 60_000 } },
    now,
    denied('it lives longer than 5000 ms'),
  ],
  [
    'past the deadline that policy signed',
    { now, claims: { deadline: now } },
    now,
    { code: 'TIMEOUT', message: 'the deadline of the call has passed' },
  ],
  [
    'past the deadline that ingress tells',
    { now, call: { deadline: now }, claims: { deadline: now + 9_000 } },
    now,
    { code: 'TIMEOUT', message: 'the deadline of the call has passed' },
  ],
  [
    'of before this runner',
    { now: now - 1_001 },
    now,
    { code: 'RUNNER_UNAVAILABLE', message: 'the tool-runner was started after this call was permitted' },
  ],
])('refuses a permit that is %s', (_, options, at, refusal) => {
  expect(refusalOf(permitted(options), at)).toEqual(refusal);
});

test('asks Ed25519 once for the permits of a batch', () => {
  const a = permitted({ now });
  const b = permitted({ now });
  const seals = sealBatch({
    domain: 'agentgate-permit-v1',
    lines: ['policy'],
    leaves: [canonical(a.permit.claims), canonical(b.permit.claims)],
    key: policyKey,
  });
  let verified = 0;
  const keys = ring();
  const counting = {
    find: (keyid: string, signer: string) => {
      const key = keys.find(keyid, signer);
      return (
        key && {
          ...key,
          verify: (bytes: Uint8Array, sig: Uint8Array) => {
            verified++;
            return key.verify(bytes, sig);
          },
        }
      );
    },
  };
  const checkBoth = createPermitCheck({ keys: counting, now: () => now, since: now, upMs: () => 0 });
  for (const [i, ask] of [a, b].entries())
    checkBoth({ ...ask, permit: { claims: ask.permit.claims, seal: seals[i] as never } });
  expect(verified).toBe(1);
});

test('takes permits of after its start where the clock was set back meanwhile, and none of before', () => {
  const hour = 3_600_000;
  const setBack = createPermitCheck({ keys: ring(), now: () => now - hour, since: now - 60_000, upMs: () => 61_000 });
  const after = permitted({ now: now - hour });
  expect(setBack(after)).toEqual(after.permit.claims);
  const before = permitted({ now: now - hour - 1_500 });
  const justStarted = createPermitCheck({ keys: ring(), now: () => now - hour, since: now, upMs: () => 1_000 });
  expect(() => justStarted(before)).toThrow('the tool-runner was started after this call was permitted');
});
