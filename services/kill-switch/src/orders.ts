import { type ActiveKill, type KillRecord, killRecord, killSubject, scopeKey } from '@agentgate/contracts';
import { createLevel } from './level.ts';

/** The last word on one scope. `epoch` is its sequence in the KILL stream. */
export interface Order {
  key: string;
  epoch: number;
  record: KillRecord;
}

/** All that the KILL stream says, as this instance follows it. One entry a scope; a lifted scope keeps its entry, so that an older order cannot come back. */
export interface Orders {
  /** Takes one message of the stream, in the stream's order. Undefined where it cannot be read: then nothing may be allowed until it is replaced. */
  follow(message: { subject: string; seq: number; data: Uint8Array }): Order | undefined;
  /** Takes an order ahead of the stream, right after its acknowledgement. */
  apply(order: Order): void;
  get(key: string): Order | undefined;
  all(): Order[];
  active(): ActiveKill[];
  expired(nowMs: number): Order[];
  /** The last sequence up to which every message was followed. */
  epoch(): number;
  reached(epoch: number, waitMs: number): Promise<boolean>;
  /** Subjects whose last message cannot be read. Whom they kill is unknown, so they count as killing everybody. */
  unreadable(): string[];
}

const decoder = new TextDecoder('utf-8', { fatal: true });

const read = (subject: string, data: Uint8Array): KillRecord | undefined => {
  try {
    const record = killRecord.parse(JSON.parse(decoder.decode(data)));
    return killSubject(scopeKey(record.scope)) === subject ? record : undefined;
  } catch {
    return undefined;
  }
};

export const createOrders = (): Orders => {
  const last = new Map<string, Order>();
  const expiring = new Map<string, { order: Order; at: number }>();
  const unreadable = new Set<string>();
  const followed = createLevel();

  const apply = (order: Order) => {
    const known = last.get(order.key);
    if (known && known.epoch >= order.epoch) return;
    last.set(order.key, order);
    const { state, expires_at } = order.record;
    if (state === 'killed' && expires_at !== undefined) expiring.set(order.key, { order, at: Date.parse(expires_at) });
    else expiring.delete(order.key);
  };

  return {
    apply,
    follow: ({ subject, seq, data }) => {
      const record = read(subject, data);
      if (record) unreadable.delete(subject);
      else unreadable.add(subject);
      const order = record && { key: scopeKey(record.scope), epoch: seq, record };
      if (order) apply(order);
      followed.raise(seq);
      return order;
    },
    get: (key) => last.get(key),
    all: () => [...last.values()],
    active: () => [...last.values()].filter((o) => o.record.state === 'killed').map(activeKill),
    expired: (nowMs) => [...expiring.values()].filter((e) => e.at <= nowMs).map((e) => e.order),
    epoch: () => followed.value(),
    reached: (epoch, waitMs) => followed.reached(epoch, waitMs),
    unreadable: () => [...unreadable],
  };
};

const activeKill = ({ epoch, record: { scope, reason, by, at, expires_at } }: Order): ActiveKill => ({
  scope,
  reason,
  by,
  at,
  epoch,
  ...(expires_at === undefined ? {} : { expires_at }),
});
