import { AgentGateError, type CallIdentity, coveringKeys, type Scope } from '@agentgate/contracts';
import type { Freshness } from './freshness.ts';
import type { Orders } from './orders.ts';
import type { View, ViewOrder } from './ports.ts';
import type { ViewSync } from './view-sync.ts';

export interface Cleared {
  epoch: number;
  killed?: { scope: Scope; reason: string };
}

export interface CheckDeps {
  orders: Orders;
  view: Pick<View, 'read'>;
  sync: Pick<ViewSync, 'ready' | 'confirmed' | 'suspect'>;
  freshness: Freshness;
  /** The identity of the KILL stream that is the truth. */
  stream: string;
}

/**
 * Answers a batch of checks with one read of the view. A call is clear only if both the view and the orders in memory say so and both vouch for
 * themselves; it is killed if either says so.
 */
export const createCheck = ({ orders, view, sync, freshness, stream }: CheckDeps) => {
  /** The view's orders for these keys, or why it cannot be used. */
  const readView = async (keys: string[]): Promise<Map<string, ViewOrder> | AgentGateError> => {
    if (!sync.ready()) return unavailable('the kill view is being rebuilt');
    const confirmed = sync.confirmed();
    try {
      const { marker, orders: found } = await view.read(keys);
      if (marker && marker.stream === stream && marker.epoch >= confirmed) return found;
      sync.suspect(
        marker ? `it stands at epoch ${marker.epoch} of the stream of ${marker.stream}` : 'its marker is missing',
      );
      return unavailable('the kill view is being rebuilt');
    } catch (error) {
      sync.suspect('it cannot be read');
      return error instanceof AgentGateError ? error : unavailable('the kill view cannot be read', error);
    }
  };
  const memoryRefuses = (): AgentGateError | undefined => {
    if (orders.unreadable().length > 0) return unavailable('an order cannot be read');
    if (freshness.stale()) return unavailable('the kill orders are stale');
    return undefined;
  };

  return async (calls: readonly CallIdentity[]): Promise<(Cleared | AgentGateError)[]> => {
    const covering = calls.map(coveringKeys);
    const keys = new Set<string>();
    for (const each of covering) for (const key of each) keys.add(key);
    const read = await readView([...keys]);
    const refused = memoryRefuses() ?? (read instanceof AgentGateError ? read : undefined);
    const seen = read instanceof AgentGateError ? undefined : read;
    const epoch = orders.epoch();
    const killed = new Map<string, NonNullable<Cleared['killed']>>();
    for (const key of keys) {
      const order = killing(orders.get(key)?.record) ?? killing(seen?.get(key));
      if (order) killed.set(key, { scope: order.scope, reason: order.reason });
    }
    return covering.map((each) => {
      const key = killed.size > 0 ? each.find((one) => killed.has(one)) : undefined;
      const by = key === undefined ? undefined : killed.get(key);
      return by ? { epoch, killed: by } : (refused ?? { epoch });
    });
  };
};

const killing = <O extends Pick<ViewOrder, 'state'>>(order: O | undefined): O | undefined =>
  order?.state === 'killed' ? order : undefined;

const unavailable = (why: string, cause?: unknown) => new AgentGateError('KILL_SWITCH_UNAVAILABLE', why, { cause });
