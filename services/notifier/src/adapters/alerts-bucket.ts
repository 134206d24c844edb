import { type Bus, createRecords } from '@agentgate/bus';
import { type AlertRecord, alertRecord, buckets } from '@agentgate/contracts';

/** An event that comes again within this time is known to be delivered. */
const keepDeliveredS = 86_400;
/** So long an operator can look at what was given up, and have it tried again. */
export const keepDeadMs = 30 * 86_400_000;

const keptS = {
  waiting: undefined,
  delivered: keepDeliveredS,
  dead: keepDeadMs / 1_000,
} satisfies Record<AlertRecord['state'], number | undefined>;

export const createAlertsBucket = (bus: Pick<Bus, 'bucket'>) =>
  createRecords<AlertRecord>(bus.bucket(buckets.alerts), {
    keyOf: ({ id }) => id,
    parse: (value) => alertRecord.parse(value),
    keptS: ({ state }) => keptS[state],
    writeMs: 2_000,
  });
