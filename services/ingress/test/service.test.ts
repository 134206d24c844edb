import { AgentGateError, type CallAsk, type Config, type Scope } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import type { KeyStore } from '../src/idempotency.ts';
import { createLiveCalls, type LiveCall } from '../src/live-calls.ts';
import { createIngress, type IngressPorts } from '../src/service.ts';

const about = { tenant: 'default', agent: 'demo', session: 'ses_0000000001', tool: 'fs/read', deadline: 1_000 };
const scope: Scope = { kind: 'session', id: about.session };

const setUp = () => {
  const live = createLiveCalls();
  const limits = { calls_in_flight: 8, call_timeout_ms: 1_000, result_bytes: 1_024 };
  const ingress = createIngress({} as IngressPorts, live, limits);
  const open = (n: number, stage: LiveCall['stage'], session = about.session) => {
    const call = live.open({ ...about, session, call: `call_${n}`, key: undefined });
    call.stage = stage;
    return call;
  };
  return { live, ingress, open };
};

test('a held scope is ended at once, and the order that follows tells of every call', async () => {
  const { live, ingress, open } = setUp();
  const [deciding, dispatched, other] = [
    open(1, 'deciding'),
    open(2, 'dispatched'),
    open(3, 'dispatched', 'ses_0000000002'),
  ];
  ingress.hold(scope);
  for (const call of [deciding, dispatched]) expect(call.ending).toEqual({ why: 'killed', scope });
  expect(other.ending).toBeUndefined();
  live.close(deciding, 'aborted');
  const late = open(4, 'deciding');
  expect(ingress.contain(scope).toSorted((a, b) => (a.call < b.call ? -1 : 1))).toEqual([
    { call: deciding.call, fate: 'aborted' },
    { call: dispatched.call, fate: 'dispatched' },
    { call: late.call, fate: 'not_started' },
  ]);
});

test('a call that a held scope ended is told of to the order of a wider one, too, and to no other', () => {
  const { live, ingress, open } = setUp();
  const deciding = open(1, 'deciding');
  ingress.hold(scope);
  live.close(deciding, 'aborted');
  expect(ingress.contain({ kind: 'agent', id: 'another' })).toEqual([]);
  expect(ingress.contain({ kind: 'agent', id: about.agent })).toEqual([{ call: deciding.call, fate: 'aborted' }]);
  expect(ingress.contain(scope)).toEqual([{ call: deciding.call, fate: 'aborted' }]);
});

const who = { tenant: 'default', agent: 'demo' };
const ask: CallAsk = { v: 1, session: 'ses_0123456789', tool: 'fs/read', arguments: {} };
const limits: Config['limits'] = { calls_in_flight: 1, call_timeout_ms: 1_000, result_bytes: 1_024 };

/** Ingress with a place for one call, and only the ports that the test needs. */
const ingressWith = (ports: Partial<IngressPorts>) =>
  createIngress(
    { now: () => 0, newCallId: () => 'call_0123456789', ...ports } as IngressPorts,
    createLiveCalls(),
    limits,
  );

test('refuses a call beyond the bound with OVERLOADED, and gives the place back when the work fails', async () => {
  let fail: (error: Error) => void = () => {};
  const claim = () => new Promise<undefined>((_, reject) => (fail = reject));
  const ingress = ingressWith({ keys: { claim } as unknown as KeyStore });
  const keyed = { ...ask, key: 'k' };
  const first = ingress.call(who, keyed, 10);
  expect(await ingress.call(who, ask, 10)).toMatchObject({ code: 'OVERLOADED', retry_after_ms: 250 });
  fail(new AgentGateError('INTERNAL', 'the store of idempotency keys did not answer; nothing ran'));
  expect(await first).toMatchObject({ status: 'unavailable', code: 'INTERNAL' });
  const next = ingress.call(who, keyed, 10);
  fail(new Error('down'));
  expect(await next).toMatchObject({ code: 'INTERNAL' });
});
