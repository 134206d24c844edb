import { type AlertEvent, type AlertRecord, alertSettings, eventSource, eventType } from '@agentgate/contracts';
import type { EvidenceEvent } from '@agentgate/evidence';
import { createAlertIndex } from '../src/alert-index.ts';
import { createCourier } from '../src/courier.ts';
import { alertOf } from '../src/payload.ts';
import type { Held, Outcome, Records } from '../src/ports.ts';
import { createNotifier } from '../src/service.ts';

export const secret = `whsec_${Buffer.from('a secret of thirty-two bytes, ok').toString('base64')}`;
export const otherSecret = `whsec_${Buffer.from('another one of thirty-two bytes!').toString('base64')}`;

/** `alerts` of agentgate.yaml as it is read. */
export const endpointsOf = (endpoints: Record<string, object>) => alertSettings.parse({ endpoints }).endpoints;

let events = 0;
export const eventOf = (name: AlertEvent, data: object, more: Partial<EvidenceEvent> = {}): EvidenceEvent => ({
  specversion: '1.0',
  id: `evt_${String(++events).padStart(10, '0')}`,
  source: eventSource('kill-switch', 'k1'),
  type: eventType(name),
  subject: 'agent demo',
  time: '2026-01-01T00:00:00.000Z',
  datacontenttype: 'application/json',
  data: data as Record<string, unknown>,
  producerepoch: 'e1',
  producerseq: 1,
  producerprev: '',
  ...more,
});
export const killed = (more: Partial<EvidenceEvent> = {}) =>
  alertOf(
    'kill.ordered',
    eventOf('kill.ordered', { epoch: 7, scope: { kind: 'agent', id: 'demo' }, reason: 'hijacked', by: 'olga' }, more),
  );

/** Records in memory, with compare-and-set as the bucket has it. */
export const createFakeRecords = () => {
  const all = new Map<string, Held>();
  let revision = 0;
  const put = (record: AlertRecord) => {
    all.set(record.id, { record, revision: ++revision });
    return revision;
  };
  const records: Records = {
    create: async (record) => (all.has(record.id) ? 'conflict' : put(record)),
    update: async (record, expected) => (all.get(record.id)?.revision === expected ? put(record) : 'conflict'),
    read: async (id) => all.get(id),
  };
  return { all, records };
};

interface Sent {
  endpoint: string;
  id: string;
  body: string;
  at: number;
}

export const createWorld = (
  options: {
    endpoints?: Record<string, object>;
    maxWaiting?: number;
    records?: ReturnType<typeof createFakeRecords>;
  } = {},
) => {
  const endpoints = endpointsOf(options.endpoints ?? { pager: { url: 'https://pager.example/hook' } });
  const fake = options.records ?? createFakeRecords();
  const index = createAlertIndex();
  const world = {
    ...fake,
    index,
    at: Date.parse('2026-01-01T00:00:00Z'),
    sent: [] as Sent[],
    tried: [] as string[],
    dropped: [] as string[],
    told: [] as string[],
    outcome: async (_: string): Promise<Outcome> => ({ ok: true }),
  };
  const say = (_: object, message: string) => void world.told.push(message);
  const log = { info: say, warn: say, error: say };
  const now = () => world.at;
  const send = async (endpoint: string, { id, body }: { id: string; body: string }) => {
    world.sent.push({ endpoint, id, body, at: world.at });
    return world.outcome(endpoint);
  };
  const counts = {
    tried: (endpoint: string, outcome: string) => void world.tried.push(`${endpoint} ${outcome}`),
    dropped: (endpoint: string) => void world.dropped.push(endpoint),
  };
  const courier = createCourier({
    endpoints: new Set(Object.keys(endpoints)),
    records: fake.records,
    index,
    send,
    now,
    random: () => 0.5,
    counts,
    log,
  });
  const notifier = createNotifier({
    endpoints,
    records: fake.records,
    index,
    courier,
    send,
    newEventId: () => 'evt_9999999999',
    now,
    counts,
    log,
    ...(options.maxWaiting !== undefined && { maxWaiting: options.maxWaiting }),
  });
  return Object.assign(world, {
    courier,
    notifier,
    /** Lets time pass, and what is due then be tried. */
    pass: async (ms: number) => {
      world.at += ms;
      courier.wake();
      await courier.settled();
    },
  });
};
