import type { NatsConnection } from '@nats-io/transport-node';
import type { Log } from './log.ts';
import type { Mux } from './mux.ts';

/** What the parts of the bus share: one connection and its answer subscription. */
export interface Core {
  nc: NatsConnection;
  user: string;
  instance: string;
  log: Log;
  mux: Mux;
  /** A separate answer subscription for a batch contract with late answers. */
  lateMux(subject: string): Mux;
  connected(): boolean;
  stats: { requests: number; errors: number };
}

/** Whether a subject matches its contract's pattern (`*` one token). JetStream could be made to deliver other subjects' messages to ours: those do not. */
export const subjectMatcher = (pattern: string): ((subject: string) => boolean) => {
  if (!pattern.includes('*')) return (subject) => subject === pattern;
  const form = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^.]+')}$`);
  return (subject) => form.test(subject);
};
