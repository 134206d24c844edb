import { AgentGateError, brokerLease } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { serveBroker } from '../src/handlers.ts';
import { askOf } from './fixture.ts';

type Handler = (asks: unknown[]) => Promise<unknown[]>;
const bench = (lease: () => Promise<never>) => {
  const handlers = new Map<string, Handler>();
  const errors: unknown[] = [];
  const observed: string[] = [];
  serveBroker({
    bus: {
      serveBatch: (contract, handler) => void handlers.set(contract.subject, handler as Handler),
      instance: 'broker-1',
      serve: () => {},
      serveBroadcast: () => {},
      serveRaw: () => {},
    },
    subjects: { accept: () => expect.fail('a person') },
    operators: {} as never,
    broker: {
      lease,
      leaseListing: () => expect.fail('listed'),
      release: () => expect.fail('released'),
      contain: () => expect.fail('contained'),
    },
    log: { error: (fields) => void errors.push(fields) },
    observe: (verb, code) => void observed.push(`${verb} ${code}`),
  });
  return { ask: (asks: unknown[]) => (handlers.get(brokerLease.subject) as Handler)(asks), errors, observed };
};

test('answers each ask of a batch with its own failure', async () => {
  let n = 0;
  const { ask, errors, observed } = bench(async () => {
    throw new AgentGateError('POLICY_DENIED', `no ${++n}`);
  });
  expect(await ask([askOf(), askOf()])).toEqual([
    new AgentGateError('POLICY_DENIED', 'no 1'),
    new AgentGateError('POLICY_DENIED', 'no 2'),
  ]);
  expect(errors).toEqual([]);
  expect(observed).toEqual(['lease POLICY_DENIED', 'lease POLICY_DENIED']);
});

test('tells nothing of an unknown error but INTERNAL, and logs it', async () => {
  const { ask, errors } = bench(() => Promise.reject(new Error('with details')));
  expect(await ask([askOf()])).toEqual([expect.objectContaining({ code: 'INTERNAL', message: 'internal error' })]);
  expect(errors).toHaveLength(1);
});

test('refuses with OVERLOADED beyond 1024 asks at once', async () => {
  const { ask } = bench(() => new Promise(() => {}));
  for (let i = 0; i < 32; i++) void ask(Array.from({ length: 32 }, () => askOf()));
  expect(await ask([askOf()])).toEqual([expect.objectContaining({ code: 'OVERLOADED' })]);
});
