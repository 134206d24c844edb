import { silent } from '@agentgate/bus';
import {
  AgentGateError,
  type EventDraft,
  type EventName,
  type KillRecord,
  killSubject,
  type Scope,
  scopeKey,
} from '@agentgate/contracts';
import { generateSigningKey } from '@agentgate/evidence';
import type { AskPoints } from '../src/containment.ts';
import type { PointAnswer } from '../src/fates.ts';
import { createFreshness } from '../src/freshness.ts';
import { createOrders, type Order } from '../src/orders.ts';
import { createPoints } from '../src/points.ts';
import type { Marker, OrderStream, Standing, View, ViewOrder } from '../src/ports.ts';
import { createKillSwitch } from '../src/service.ts';

export const streamName = '2026-01-01T00:00:00Z';
export const session = (id = 'ses_0123456789'): Scope => ({ kind: 'session', id });
export const start = Date.parse('2026-03-01T12:00:00.000Z');

/** `pass` moves both clocks, `work` only the one for durations, so that what is written down stays predictable. */
export const createFakeClock = () => {
  let ms = 0;
  let worked = 0;
  return {
    now: () => start + ms,
    monotonic: () => ms + worked,
    sleep: async (by: number) => {
      worked += by;
    },
    pass: (by: number) => {
      ms += by;
    },
    work: (by: number) => {
      worked += by;
    },
  };
};

/** The KILL stream in memory: one message a scope, compared before it is written. */
export const createFakeStream = () => {
  const last = new Map<string, Order>();
  const listeners: ((order: Order) => void)[] = [];
  let seq = 0;
  const fake = {
    last: async (key: string): Promise<Standing | undefined> => last.get(key),
    write: async (record: KillRecord, expected?: number): Promise<number | 'conflict'> => {
      await fake.beforeWrite(record);
      const key = scopeKey(record.scope);
      if (expected !== undefined && expected !== (last.get(key)?.epoch ?? 0)) return 'conflict';
      const order = { key, epoch: ++seq, record };
      last.set(key, order);
      for (const tell of listeners) tell(order);
      return order.epoch;
    },
    leader: async () => ({ stream: streamName, epoch: seq }),
    /** What happens right before a write: a race, or a failure. */
    beforeWrite: async (_record: KillRecord): Promise<void> => {},
    onOrder: (tell: (order: Order) => void) => void listeners.push(tell),
    get epoch() {
      return seq;
    },
  };
  return fake satisfies OrderStream & Record<string, unknown>;
};

export const encode = (order: Order) => ({
  subject: killSubject(order.key),
  seq: order.epoch,
  data: Buffer.from(JSON.stringify(order.record)),
});

/** The view in memory. A newer order is never replaced; the test says so if somebody tries to mark what was not written. */
export const createFakeView = () => {
  const written = new Map<string, ViewOrder>();
  const fake = {
    marker: undefined as Marker | undefined,
    down: false,
    keysRead: 0,
    reads: 0,
    written,
    read: async (keys: string[]) => {
      fake.mustBeUp();
      fake.reads++;
      fake.keysRead += keys.length;
      return {
        marker: fake.marker,
        orders: new Map(keys.flatMap((key) => (written.has(key) ? [[key, written.get(key) as ViewOrder]] : []))),
      };
    },
    put: async (order: Order) => {
      fake.mustBeUp();
      const was = written.get(order.key);
      const { state, scope, reason } = order.record;
      if (!was || was.epoch <= order.epoch) written.set(order.key, { epoch: order.epoch, state, scope, reason });
    },
    advance: async (orders: Order[], from: number, to: number) => {
      fake.mustBeUp();
      if (!fake.marker || fake.marker.epoch < from) return false;
      for (const order of orders) await fake.put(order);
      fake.marker = { stream: streamName, epoch: Math.max(to, fake.marker.epoch) };
      return true;
    },
    rebuild: async (orders: Order[], epoch: number) => {
      for (const order of orders) await fake.put(order);
      fake.mustBeUp();
      fake.marker = { stream: streamName, epoch };
      return true;
    },
    mustBeUp: () => {
      if (fake.down) throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', 'the kill view in Redis cannot be reached');
    },
    empty: () => {
      written.clear();
      fake.marker = undefined;
    },
  };
  return fake satisfies View & Record<string, unknown>;
};

/** Points that answer a containment as the test says; a point without an answer stays silent. */
export const createFakePoints = (clock: { monotonic(): number; work(ms: number): void }) => {
  const points = createPoints(clock.monotonic);
  const answers = new Map<string, (epoch: number) => Omit<PointAnswer, 'v' | 'service' | 'instance'>>();
  const asked: { epoch: number; scope: Scope }[] = [];
  const ask: AskPoints = async ({ epoch, scope }, { enough, onAnswer, timeoutMs }) => {
    asked.push({ epoch, scope });
    const all: PointAnswer[] = [];
    for (const [name, answer] of answers) {
      const [service, instance] = name.split('/') as [
        'ingress' | 'tool-runner' | 'approvals' | 'credential-broker',
        string,
      ];
      clock.work(1);
      const said = { v: 1 as const, service, instance, ...answer(epoch) };
      all.push(said);
      onAnswer(said);
      if (enough(all)) return;
    }
    clock.work(timeoutMs);
  };
  return {
    points,
    ask,
    asked,
    add: (
      name: 'ingress' | 'tool-runner' | 'approvals' | 'credential-broker',
      instance: string,
      calls: PointAnswer['calls'] | 'silent' = [],
    ) => {
      points.alive({ service: name, instance }, 'up');
      if (calls !== 'silent') answers.set(`${name}/${instance}`, (epoch) => ({ epoch, calls }));
    },
    answerWith: (name: string, answer: (epoch: number) => Omit<PointAnswer, 'v' | 'service' | 'instance'>) =>
      void answers.set(name, answer),
  };
};

export const createFixture = (dualControl: readonly Scope['kind'][] = []) => {
  const clock = createFakeClock();
  const stream = createFakeStream();
  const orders = createOrders();
  stream.onOrder((order) => void orders.follow(encode(order)));
  const view = createFakeView();
  const fakePoints = createFakePoints(clock);
  const recorded: EventDraft[] = [];
  const freshness = createFreshness({ epoch: orders.epoch, monotonic: clock.monotonic });
  const key = generateSigningKey();
  const evidence = { fails: false };
  const connections = { cut: [] as { tenant: string; agent: string }[], fails: false };
  /** The scopes that were held, each with how many orders had been written by then. */
  const held: { scope: Scope; orders: number }[] = [];
  const killSwitch = createKillSwitch({
    hold: (scope) => void held.push({ scope, orders: orders.all().length }),
    stream,
    orders,
    view,
    sync: { settled: async () => true },
    freshness,
    points: fakePoints.points,
    dualControl: new Set(dualControl),
    askPoints: fakePoints.ask,
    record: async <N extends EventName>(draft: EventDraft<N>) => {
      if (evidence.fails) throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'no');
      recorded.push(draft as EventDraft);
      return `evt_${String(recorded.length).padStart(10, '0')}`;
    },
    key,
    connections: {
      cut: async (who) => {
        if (connections.fails) throw new Error('no');
        connections.cut.push(who);
        return 1;
      },
    },
    clock,
    log: silent,
  });
  return {
    clock,
    held,
    stream,
    orders,
    view,
    fakePoints,
    points: fakePoints.points,
    recorded,
    freshness,
    key,
    evidence,
    connections,
    killSwitch,
  };
};
