import type { KillRecord, Scope } from '@agentgate/contracts';
import type { Order } from './orders.ts';

/** What stands on a scope. `record` is undefined where it cannot be read: that may be any order. */
export interface Standing {
  epoch: number;
  record: KillRecord | undefined;
}

/** The truth: the KILL stream. Every failure is AgentGateError KILL_SWITCH_UNAVAILABLE. */
export interface OrderStream {
  /**
   * Resolves with the order's epoch once the stream's acknowledgement says that it is on disk. `expected` is the epoch of the scope's last order
   * (0: none); where another stands there, nothing is written and the answer is `conflict`. Without it the order is written whatever stands there.
   */
  write(record: KillRecord, expected?: number): Promise<number | 'conflict'>;
  /** The scope's last order as the stream's leader has it. */
  last(key: string): Promise<Standing | undefined>;
  /** What the stream's leader says of the stream: which one it is, and the sequence of its last message. */
  leader(): Promise<{ stream: string; epoch: number }>;
}

export interface Marker {
  /** Which KILL stream the view is of. */
  stream: string;
  /** Every order up to this epoch is in the view. */
  epoch: number;
}

/** What the view says of one scope. */
export interface ViewOrder {
  epoch: number;
  state: KillRecord['state'];
  scope: Scope;
  reason: string;
}

/** The fast view in Redis, shared by all instances. In none of its writes an older order replaces a newer one. */
export interface View {
  /** The marker and the orders of these scopes, read in one round trip. `marker` is undefined where the view cannot vouch for itself. */
  read(keys: string[]): Promise<{ marker: Marker | undefined; orders: Map<string, ViewOrder> }>;
  /** Puts one order into the view, whatever state the view is in. */
  put(order: Order): Promise<void>;
  /** Adds what the stream says after epoch `from` and up to `to`. False where the view does not hold everything up to `from`: it must be rebuilt. */
  advance(orders: Order[], from: number, to: number): Promise<boolean>;
  /** Writes all orders, then the marker. False where the view was emptied meanwhile. */
  rebuild(orders: Order[], epoch: number): Promise<boolean>;
}

/** What the NATS server knows of who is connected. */
export interface Connections {
  /** Cuts the agent's connections; resolves with how many there were once the server confirmed each. */
  cut(who: { tenant: string; agent: string }): Promise<number>;
}

export interface Clock {
  /** Milliseconds since the Unix epoch, for what is written down. */
  now(): number;
  /** Milliseconds that no change of the clock moves, for durations. */
  monotonic(): number;
  sleep(ms: number): Promise<unknown>;
}
