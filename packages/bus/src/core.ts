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
  /** Runs what sends once all is read that the socket had, and all that waits for it at once: it leaves in one write. */
  afterPoll(send: () => void): void;
  stats: { requests: number; errors: number };
}

/** Work that gathers while a turn of the event loop reads, and is done together after it. It must not throw. */
export const createAfterPoll = (): Core['afterPoll'] => {
  let waiting: (() => void)[] = [];
  const run = () => {
    const all = waiting;
    waiting = [];
    for (const work of all) work();
  };
  return (work) => {
    if (waiting.push(work) === 1) setImmediate(run);
  };
};

/** Whether a subject matches its contract's pattern (`*` one token). JetStream could be made to deliver other subjects' messages to ours: those do not. */
export const subjectMatcher = (pattern: string): ((subject: string) => boolean) => {
  if (!pattern.includes('*')) return (subject) => subject === pattern;
  const form = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^.]+')}$`);
  return (subject) => form.test(subject);
};
