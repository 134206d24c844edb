import { randomBytes } from 'node:crypto';
import type { Msg, NatsConnection } from '@nats-io/transport-node';

/** What comes to an open exchange: a message, or that the connection broke (nothing more will come). */
export type Arrival = Msg | 'disconnected';

export interface Exchange {
  /** The subject to give as reply. */
  reply: string;
  close(): void;
}

/**
 * One subscription for all answers to this client. The client library leaves a request in flight to its timeout when the
 * connection drops; here every open exchange hears of it at once.
 */
export interface Mux {
  open(onArrival: (arrival: Arrival) => void): Exchange;
  disconnected(): void;
}

export const createMux = (nc: NatsConnection, prefix: string): Mux => {
  const base = `${prefix}.${randomBytes(12).toString('base64url')}`;
  const open = new Map<string, (arrival: Arrival) => void>();
  let next = 0;
  nc.subscribe(`${base}.*`, {
    callback: (error, msg) => {
      if (error) return;
      open.get(msg.subject.slice(base.length + 1))?.(msg);
    },
  });
  return {
    open: (onArrival) => {
      const token = (next++).toString(36);
      open.set(token, onArrival);
      return { reply: `${base}.${token}`, close: () => open.delete(token) };
    },
    disconnected: () => {
      const waiting = [...open.values()];
      open.clear();
      for (const tell of waiting) tell('disconnected');
    },
  };
};

/** NATS answers 503 by itself where nobody subscribes. */
export const nobodyListens = (msg: Msg): boolean => msg.headers?.code === 503;
