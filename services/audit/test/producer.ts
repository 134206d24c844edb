import {
  type EventData,
  type EventName,
  eventSource,
  eventsSubject,
  eventType,
  type ServiceName,
} from '@agentgate/contracts';
import {
  type ChainItem,
  createChain,
  createKeyRing,
  encodeBatch,
  generateSigningKey,
  type KeyRing,
  type SigningKey,
} from '@agentgate/evidence';
import type { Incoming } from '../src/log-store.ts';

/** A producer of the test's own: it makes what a service's producer puts into the AUDIT stream. */
export const createTestProducer = (
  service: ServiceName,
  {
    instance = 'i1',
    epoch = 'e1',
    key = generateSigningKey(),
  }: { instance?: string; epoch?: string; key?: SigningKey } = {},
) => {
  const source = eventSource(service, instance);
  const chain = createChain({ source, epoch });
  let made = 0;
  const event = <N extends EventName>(
    name: N,
    data: EventData<N>,
    more: { id?: string; session?: string } = {},
  ): ChainItem => {
    const id = `evt_${service}_${instance}_${epoch}_${++made}`;
    return chain.next({
      id,
      type: eventType(name),
      subject: 'test',
      time: '2026-01-01T00:00:00.000Z',
      tenant: 'default',
      agent: 'demo',
      ...more,
      data: data as Record<string, unknown>,
    });
  };
  const beat = (more: { id?: string } = {}) => event('producer.heartbeat', { service, instance, events: made }, more);
  return {
    service,
    source,
    key,
    event,
    beat,
    beats: (count: number) => Array.from({ length: count }, () => beat()),
    seal: (items: ChainItem[], by = key) => encodeBatch(items, by),
  };
};
export type TestProducer = ReturnType<typeof createTestProducer>;

export const trustIn = (...producers: Pick<TestProducer, 'service' | 'key'>[]): KeyRing =>
  createKeyRing(producers.map(({ service, key }) => ({ signer: eventSource(service, ''), publicKey: key.publicKey })));

let seq = 0;
export const incoming = (service: string, body: string | Uint8Array): Incoming => ({
  subject: eventsSubject(service),
  seq: ++seq,
  data: typeof body === 'string' ? new TextEncoder().encode(body) : body,
});

export const callOf = (n: number) => `call_${String(n).padStart(10, '0')}`;
export const decided = (call: string, deadline?: number): EventData<'call.decided'> => ({
  call,
  tool: 'files/read',
  arguments: {},
  decision: { action: 'allow', code: 'OK', reason: 'granted', obligations: {} },
  ...(deadline !== undefined && { deadline }),
});
export const completed = (call: string): EventData<'call.completed'> => ({
  call,
  tool: 'files/read',
  outcome: 'ok',
  code: 'OK',
  duration_ms: 1,
  redacted: [],
});
