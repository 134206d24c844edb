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
    const read = await readView([...new Set(covering.flat())]);
    const refused = memoryRefuses() ?? (read instanceof AgentGateError ? read : undefined);
    const seen = read instanceof AgentGateError ? new Map<string, ViewOrder>() : read;
    const epoch = orders.epoch();
    return covering.map((keys) => {
      for (const key of keys) {
        const killed = [orders.get(key)?.record, seen.get(key)].find((order) => order?.state === 'killed');
        if (killed) return { epoch, killed: { scope: killed.scope, reason: killed.reason } };
      }
      return refused ?? { epoch };
    });
  };
};

const unavailable = (why: string, cause?: unknown) => new AgentGateError('KILL_SWITCH_UNAVAILABLE', why, { cause });
