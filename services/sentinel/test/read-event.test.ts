import { type EventName, eventSource, eventType } from '@agentgate/contracts';
import {
  createChain,
  createKeyRing,
  encodeBatch,
  generateSigningKey,
  openBatch,
  sealedText,
} from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { createEventReader } from '../src/read-event.ts';
import { eventOf, sessionOf } from './fixtures.ts';

const key = generateSigningKey();
const foreign = generateSigningKey();
const services = ['ingress', 'policy', 'kill-switch', 'audit'];
const keys = createKeyRing(services.map((s) => ({ signer: eventSource(s, ''), publicKey: key.publicKey })));
const who = { tenant: 'default', agent: 'demo', session: sessionOf(1) };
const policy = { digest: 'a'.repeat(64), revision: 'r1' };
const decision = (code: string, action = 'deny') => ({ action, code, reason: 'x', obligations: {} });
const decided = (code: string, more: object = {}) => ({
  call: 'call_0000000001',
  tool: 'files/read',
  arguments: { path: '/a' },
  decision: decision(code),
  policy,
  ...more,
});

const entry = (
  name: EventName,
  data: object,
  { by = 'ingress', as = key, ...more }: { by?: string; as?: typeof key } & object = {},
) => {
  const source = eventSource(by, 'i1');
  const chain = createChain({ source, epoch: 'e1' });
  const item = chain.next({
    id: eventOf(1),
    type: eventType(name),
    time: '2026-03-01T12:00:00.000Z',
    subject: 'x',
    ...who,
    ...more,
    data: data as Record<string, unknown>,
  });
  const keys = createKeyRing([{ signer: eventSource(by, ''), publicKey: as.publicKey }]);
  const opened = openBatch(encodeBatch([item], as), keys);
  const first = opened.ok ? opened.entries[0] : undefined;
  if (!first) throw new Error('the event was not sealed');
  return sealedText(first.text, first.seal);
};
const read = (
  name: EventName,
  data: object,
  more: Parameters<typeof entry>[2] & { wanted?: boolean; subject?: string } = {},
) => {
  const { wanted = true, subject = `evidence.v1.default.${eventType(name)}`, ...rest } = more;
  const baits = [{ name: 'bait/key', spellings: ['AKIADECOY', '414b4941'] }];
  return createEventReader({ keys, baits, asksFor: () => true, isWanted: () => wanted }).read(
    subject,
    entry(name, data, rest),
  );
};
const own = { tenant: 'default', agent: 'demo', session: sessionOf(1) };
const agentAlone = { tenant: 'default', agent: 'demo' };

test.each<[string, object, object | undefined]>([
  ['a refusal by a grant', decided('NO_GRANT'), { refused: 'NO_GRANT', by: own }],
  ["a session that is not the agent's own", decided('UNKNOWN_SESSION'), { refused: 'UNKNOWN_SESSION', by: agentAlone }],
  ['a call that policy did not see', decided('POLICY_DENIED', { policy: undefined }), { by: agentAlone }],
  ['an allowed call', { ...decided('OK'), decision: decision('OK', 'allow') }, { by: own }],
  [
    'a question to a person',
    { ...decided('OK'), decision: decision('APPROVAL_REQUIRED', 'require_approval') },
    { by: own },
  ],
  ['bait in the arguments', decided('NO_GRANT', { arguments: { deep: ['x AKIADECOY y'] } }), { baits: ['bait/key'] }],
  ['no bait anywhere else', decided('NO_GRANT', { tool: 'x/AKIADECOY' }), { baits: [] }],
  ['one who is killed already', decided('KILLED_AGENT'), undefined],
])('%s is read as such', (_, data, wanted) => {
  const told = read('call.decided', JSON.parse(JSON.stringify(data)) as object);
  if (wanted === undefined) expect(told).toBeUndefined();
  else expect(told).toMatchObject({ kind: 'decided', ...wanted });
});

test.each(['TIMEOUT', 'FIELD_INVALID', 'MALFORMED', 'CANCELLED', 'OVERLOADED', 'KILL_SWITCH_UNAVAILABLE'])(
  '%s says nothing of whose the session is, although policy answered',
  (code) => {
    expect(read('call.decided', decided(code))).toMatchObject({ by: agentAlone });
    expect(read('call.decided', decided(code))).not.toHaveProperty('by.session');
  },
);

test.each([
  'POLICY_UNAVAILABLE',
  'KILL_SWITCH_UNAVAILABLE',
  'EVIDENCE_UNAVAILABLE',
  'INTERNAL',
  'OVERLOADED',
  'POLICY_INVALID',
  'TOOL_QUARANTINED',
  'TIMEOUT',
])('a refusal that tells of the gate is none of the agent: %s', (code) => {
  expect(read('call.decided', decided(code))).not.toHaveProperty('refused');
});

test.each([
  ['ok', 'OK', false, []],
  ['tool_error', 'TOOL_ERROR', true, ['tool_error']],
  ['timeout', 'TIMEOUT', true, ['timeout']],
  ['aborted', 'UPSTREAM_UNAVAILABLE', true, []],
])('an outcome %s %s is read as failed: %s', (outcome, code, failed, risk) => {
  const data = { call: 'call_0000000001', tool: 'files/read', outcome, code, duration_ms: 1, redacted: [] };
  expect(read('call.completed', data)).toMatchObject({ kind: 'completed', failed, risk, by: own });
});
test('what was killed or cancelled says nothing of its tool', () => {
  const data = {
    call: 'call_0000000001',
    tool: 'files/read',
    outcome: 'aborted',
    code: 'KILLED_AGENT',
    duration_ms: 1,
    redacted: [],
  };
  expect(read('call.completed', data)).toBeUndefined();
});

test.each<[string, Parameters<typeof read>[2], string]>([
  [
    "another service's word on a call",
    { by: 'policy' },
    'agentgate.call.decided.v1 by agentgate/policy/i1 is not of ingress',
  ],
  ['a signature of somebody else', { as: foreign }, 'UNKNOWN_KEY'],
  [
    'an event under the subject of another type',
    { subject: 'evidence.v1.default.agentgate.approval.rejected.v1' },
    'agentgate.call.decided.v1 by agentgate/ingress/i1 is not of approvals',
  ],
])('%s counts for nothing', (_, more, why) => {
  expect(() => read('call.decided', decided('NO_GRANT'), more)).toThrow(why);
});
test('an event that is not canonical counts for nothing', () => {
  const text = entry('call.decided', decided('NO_GRANT')).replace('"agent":"demo"', '"agent":"other"');
  const reader = createEventReader({ keys, baits: [], asksFor: () => true, isWanted: () => true });
  expect(() => reader.read(`evidence.v1.default.${eventType('call.decided')}`, text)).toThrow('BAD_');
});
test('what no rule asks for is not verified, and what is of no interest is not read', () => {
  expect(read('call.decided', decided('NO_GRANT'), { as: foreign, wanted: false })).toBeUndefined();
  expect(
    createEventReader({ keys, baits: [], asksFor: () => true, isWanted: () => true }).read(
      'evidence.v1.checkpoint',
      'no JSON',
    ),
  ).toBeUndefined();
});
test('only what a rule asks for has to come', () => {
  const { subjects } = createEventReader({
    keys,
    baits: [],
    asksFor: (kind) => kind === 'leased' || kind === 'lifted',
    isWanted: () => true,
  });
  expect(subjects).toEqual(['evidence.v1.*.agentgate.lease.issued.v1', 'evidence.v1.*.agentgate.kill.lifted.v1']);
});
