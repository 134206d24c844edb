import { createGauge } from '@agentgate/runtime';
import { Counter, Histogram, type Registry } from 'prom-client';

/** What an operator sees of audit. Gauges are read when they are asked for. */
export const createMetrics = (
  registry: Registry,
  read: { size(): number; published(): number; held(): number; behind(): number },
) => {
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number) => createGauge(registry, name, help, value);
  gauge('agentgate_audit_entries', 'Entries of the evidence log', read.size);
  gauge('agentgate_audit_checkpoint_size', 'Entries under the last published checkpoint', read.published);
  gauge('agentgate_audit_held_batches', 'Batches that wait for the one before them', read.held);
  gauge('agentgate_audit_evidence_behind', 'Entries that EVIDENCE is not known to have yet', read.behind);
  const milliseconds = (name: string, help: string) =>
    new Histogram({ name, help, buckets: [1, 2, 5, 10, 20, 50, 100, 250, 1000], registers });
  return {
    anomalies: new Counter({
      name: 'agentgate_audit_anomalies_total',
      help: 'Anomalies found in evidence',
      labelNames: ['kind'],
      registers,
    }),
    commitMs: milliseconds('agentgate_audit_commit_milliseconds', 'Verifying and committing one bunch of batches'),
    checkpointMs: milliseconds('agentgate_audit_checkpoint_milliseconds', 'From the commit to a durable checkpoint'),
  };
};
export type Metrics = ReturnType<typeof createMetrics>;
