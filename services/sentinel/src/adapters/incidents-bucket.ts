import { type Bus, createRecords } from '@agentgate/bus';
import { buckets, type IncidentRecord, incidentRecord } from '@agentgate/contracts';

const keepReleasedS = 90 * 86_400;

export const createIncidentsBucket = (bus: Pick<Bus, 'bucket'>) =>
  createRecords<IncidentRecord>(bus.bucket(buckets.incidents), {
    keyOf: ({ id }) => id,
    parse: (value) => incidentRecord.parse(value),
    keptS: ({ state }) => (state === 'released' ? keepReleasedS : undefined),
    writeMs: 1_000,
  });
