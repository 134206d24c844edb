import { createGauge } from '@agentgate/runtime';
import { Counter, type Registry } from 'prom-client';
import type { IncidentIndex } from './incident-index.ts';
import type { IncidentsDeps } from './incidents.ts';
import type { Watch } from './watch.ts';

const endings = ['contained', 'not_contained', 'failed'] as const;
const kinds = ['denials', 'canary', 'breaker', 'anomaly', 'risk'] as const;

export const createMeters = (
  registry: Registry,
  { watch, index, behind }: { watch: Watch; index: IncidentIndex; behind: () => number },
) => {
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number) => createGauge(registry, name, help, value);
  gauge('agentgate_sentinel_behind', 'Messages of EVIDENCE that a rule may ask for and that are not read yet.', behind);
  gauge('agentgate_sentinel_agents', 'Agents of which something is counted.', () => watch.tracked().agents);
  gauge('agentgate_sentinel_tools', 'Tools of which calls are counted.', () => watch.tracked().tools);
  gauge('agentgate_incidents_open', 'Incidents that are not released.', () =>
    index.count(({ state }) => state !== 'released'),
  );
  gauge('agentgate_incidents_not_contained', 'Incidents whose kill is not ordered or not contained: an alarm.', () =>
    index.count(({ state }) => state === 'not_contained' || state === 'open'),
  );
  const orders = new Counter({
    name: 'agentgate_automatic_orders_total',
    help: 'Automatic kill orders by the kind of rule and how they ended. Anything but contained is an alarm.',
    labelNames: ['kind', 'ending'],
    registers,
  });
  for (const kind of kinds) for (const ending of endings) orders.inc({ kind, ending }, 0);
  const refused = new Counter({
    name: 'agentgate_sentinel_refused_total',
    help: 'Entries of EVIDENCE that were not signed by whom they should be.',
    registers,
  });
  const onOrder: NonNullable<IncidentsDeps['onOrder']> = (kind, ending) => orders.inc({ kind, ending });
  return { onOrder, onRefused: () => refused.inc() };
};
