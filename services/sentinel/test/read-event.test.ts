import { type EventName, eventSource, eventType } from '@agentgate/contracts';
import {
  canonical,
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

const entry = (name: EventName, data: object, { by = 'ingress', as = key, ...more }: { by?: string; as?: typeof key } & object = {}) => {
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
  const opened = openBatch(encodeBatch([item], as), {
    keys: createKeyRing([{ signer: eventSource(by, ''), publicKey: as.publicKey }]),
  });
  if (!opened.ok) throw new Error(opened.reason);
  const first = (opened as unknown as { entries?: { event: object; seal: object }[] }).entries?.[0];
  if (!first) throw new Error(`no entry: ${Object.keys(opened).join()}`);
  return sealedText(canonical(first.event), first.seal as never);
};
