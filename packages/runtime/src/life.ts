import type { Logger } from 'pino';
import type { Producer } from './producer.ts';

const heartbeatMs = 10_000;

export interface LifeOptions {
  service: string;
  instance: string;
  version: string;
  evidence: Pick<Producer, 'record' | 'count'>;
  keyid: string;
  log: Pick<Logger, 'warn'>;
}

/**
 * producer.started, heartbeats and producer.stopped: without them a producer's silence would look like peace. No call waits for one, so one may take
 * until the next is due: at the start of a stack all services write their first at once, and a busy disk takes longer than a call could wait.
 */
export const tellLife = ({
  service,
  instance,
  version,
  evidence,
  keyid,
  log,
}: LifeOptions): { stop(): Promise<void> } => {
  const about = { service, instance };
  const untold = (what: string) => (error: unknown) => log.warn({ err: error }, what);
  const late = untold('a sign of life is not in evidence yet; it is written once evidence is acknowledged again');
  const patient = { timeoutMs: heartbeatMs };
  evidence
    .record({ name: 'producer.started', subject: instance, data: { ...about, version, keyid } }, patient)
    .catch(late);
  const timer = setInterval(() => {
    const data = { ...about, events: evidence.count };
    evidence.record({ name: 'producer.heartbeat', subject: instance, data }, patient).catch(late);
  }, heartbeatMs);
  return {
    stop: async () => {
      clearInterval(timer);
      const data = { ...about, events: evidence.count };
      await evidence
        .record({ name: 'producer.stopped', subject: instance, data })
        .catch(untold('the end of this service is not in evidence'));
    },
  };
};
