import { type killOrder as KillOrder, killOrder } from '@agentgate/contracts';
import type { Ground } from '@agentgate/testkit';
import type { z } from 'zod';

export type Order = z.infer<(typeof KillOrder)['ask']>;

/** Stands in the kill-switch's place, notes each order and answers it. */
export const takeOrders = async (ground: Ground): Promise<Order[]> => {
  const orders: Order[] = [];
  const killSwitch = await ground.connect('kill-switch');
  killSwitch.serve(killOrder, async (ask) => {
    orders.push(ask);
    const receipt = {
      v: 1 as const,
      epoch: orders.length,
      scope: ask.scope,
      ordered_at: new Date().toISOString(),
      contained: true,
      contained_in_ms: 1,
      points: [],
      calls: [],
      leases: { revoked: 0, irrevocable: [] },
      approvals: { voided: 0 },
      signature: 'x',
    };
    return { v: 1 as const, receipt, evidence: { contained: [] } };
  });
  return orders;
};
