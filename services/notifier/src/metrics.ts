import { Counter, Gauge, type Registry } from 'prom-client';
import type { AlertIndex } from './alert-index.ts';
import type { Counts } from './ports.ts';

export const createMeters = (
  registry: Registry,
  { index, endpoints, now }: { index: AlertIndex; endpoints: readonly string[]; now: () => number },
): Counts => {
  const registers = [registry];
  const labelNames = ['endpoint'];
  const gauge = (name: string, help: string, value: (endpoint: string) => number) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        for (const endpoint of new Set([...endpoints, ...index.endpoints()])) this.set({ endpoint }, value(endpoint));
      },
    });
  gauge('agentgate_alerts_waiting', 'Alerts that are not delivered yet.', (endpoint) =>
    index.count('waiting', endpoint),
  );
  gauge('agentgate_alerts_dead', 'Alerts that were given up: agentgate alerts dead.', (endpoint) =>
    index.count('dead', endpoint),
  );
  gauge(
    'agentgate_alerts_oldest_undelivered_seconds',
    'For how long the oldest one waits; 0 where none does.',
    (endpoint) => {
      const oldest = index.oldest(endpoint);
      return oldest === undefined ? 0 : Math.max(0, (now() - Date.parse(oldest)) / 1_000);
    },
  );
  const tries = new Counter({
    name: 'agentgate_alerts_tries_total',
    help: 'Tries to deliver an alert, by how they ended.',
    labelNames: ['endpoint', 'outcome'],
    registers,
  });
  const dropped = new Counter({
    name: 'agentgate_alerts_dropped_total',
    help: 'Alerts that were never made, because too many wait and are dead.',
    labelNames,
    registers,
  });
  const untrusted = new Counter({
    name: 'agentgate_alerts_untrusted_total',
    help: 'Entries of EVIDENCE that nobody who may say so signed.',
    registers,
  });
  return {
    tried: (endpoint, outcome) => tries.inc({ endpoint, outcome }),
    dropped: (endpoint) => dropped.inc({ endpoint }),
    untrusted: () => untrusted.inc(),
  };
};
