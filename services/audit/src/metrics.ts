import { createGauge } from '@agentgate/runtime';
import { Counter, Histogram, type Registry } from 'prom-client';

/** What an operator sees of audit. Gauges are read when they are asked for. */
export const createMetrics = (registry: Registry, read: { size(): number; held(): number; behind(): number }) => {
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number) => createGauge(registry, name, help, value);
  gauge('agentgate_audit_entries', 'Entries of the evidence log', read.size);
  gauge('agentgate_audit_held_batches', 'Batches that wait for the one before them', read.held);
  gauge('agentgate_audit_evidence_behind', 'Entries that EVIDENCE is not known to have yet', read.behind);
  return {
    anomalies: new Counter({
      name: 'agentgate_audit_anomalies_total',
      help: 'Anomalies found in evidence',
      labelNames: ['kind'],
      registers,
    }),
    commitMs: new Histogram({
      name: 'agentgate_audit_commit_milliseconds',
      help: 'Verifying and committing one bunch of batches',
      buckets: [1, 2, 5, 10, 20, 50, 100, 250, 1000],
      registers,
    }),
  };
};
export type Metrics = ReturnType<typeof createMetrics>;
