import { AgentGateError } from '@agentgate/contracts';
import { canonical } from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { outcomeOf } from '../src/outcome.ts';

const with_ = { server: 'crm', credentials: { crm: { name: 'crm-key' }, fs: { name: 'fs-key' } } };
const allow = { action: 'allow', code: 'OK', reason: 'allowed', rule: 'a', obligations: {} };
const deny = { action: 'deny', code: 'NO_GRANT', reason: 'no', obligations: {} };

test.each([allow, deny, { ...allow, obligations: { credential: { name: 'crm-key', ttl_s: 5 } } }])(
  'takes %j',
  (result) => {
    expect(outcomeOf({ result }, with_)).toEqual(result);
  },
);

test('stands in canonical order, whatever order Rego answers in', () => {
  const { reason, action, rule, obligations, code } = allow;
  const outcome = outcomeOf({ result: { reason, code, rule, obligations, action } }, with_);
  expect(JSON.stringify(outcome)).toBe(canonical(allow));
});

test.each<[string, unknown, RegExp]>([
  ['no result', undefined, /there is none$/],
  ['null', null, /: \/: /],
  ['true', true, /: \/: /],
  ['a list', [allow], /: \/: /],
  ['an unknown action', { ...allow, action: 'permit' }, /\/action: /],
  ['an unknown code', { ...allow, code: 'FINE' }, /\/code: /],
  ['an unknown field', { ...allow, permit: true }, /\/permit: unknown field$/],
  ['no obligations', { ...allow, obligations: undefined }, /\/obligations: /],
  ['a reason that is too long', { ...allow, reason: 'x'.repeat(3000) }, /\/reason: /],
  ['a code of another action', { ...allow, code: 'NO_GRANT' }, /code NO_GRANT does not go with allow$/],
  ['OK for a denial', { ...deny, code: 'OK' }, /code OK does not go with deny$/],
  ['a code that is not policy’s', { ...deny, code: 'KILLED_AGENT' }, /code KILLED_AGENT does not go with deny$/],
  ['a witness of a denial', { ...deny, obligations: { witnessed: true } }, /witnessed goes with allow only$/],
  [
    'approvers of a call that is allowed',
    { ...allow, obligations: { approvers: { min: 2 } } },
    /approvers goes with require_approval only$/,
  ],
  ['an unknown obligation', { ...allow, obligations: { pay: 1 } }, /\/obligations\/pay: unknown field$/],
  [
    'another server’s credential',
    { ...allow, obligations: { credential: { name: 'fs-key' } } },
    /not configured for that credential$/,
  ],
  [
    'a credential with a denial',
    { ...deny, obligations: { credential: { name: 'crm-key' } } },
    /goes with allow only$/,
  ],
  [
    'taint with an approval',
    { ...allow, action: 'require_approval', code: 'APPROVAL_REQUIRED', obligations: { taint: ['web'] } },
    /^the policy's answer cannot be used: taint goes with allow only$/,
  ],
  [
    'rate limits with a denial',
    { ...deny, obligations: { rate_limits: [{ key: 'k', limit: 1, window_s: 1 }] } },
    /rate_limits goes with allow only$/,
  ],
])('denies with POLICY_INVALID for %s', (_, result, why) => {
  expect(outcomeOf({ result }, with_)).toEqual({
    action: 'deny',
    code: 'POLICY_INVALID',
    reason: expect.stringMatching(why),
    obligations: {},
  });
});

test.each([
  { rate_limits: [{ key: 'k', limit: 1, window_s: 1 }] },
  { redact: { arguments: ['/a'], result: ['/b'] } },
  { taint: ['web'] },
  { evidence: 'digest' },
])('takes %j, which some service carries out', (obligations) =>
  expect(outcomeOf({ result: { ...allow, obligations } }, with_)).toEqual({ ...allow, obligations }),
);

test('a field that the engine must not see is the caller’s fault', () => {
  expect(outcomeOf({ fault: '/arguments: more than 512 keys' }, with_)).toEqual({
    action: 'deny',
    code: 'FIELD_INVALID',
    reason: '/arguments: more than 512 keys',
    obligations: {},
  });
});

test('what the engine could not decide is no decision', () => {
  expect(() => outcomeOf(new AgentGateError('POLICY_UNAVAILABLE', 'late'), with_)).toThrow('late');
});
