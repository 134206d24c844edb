import { type Bus, createRecords } from '@agentgate/bus';
import { AgentGateError, type ApprovalRecord, approvalRecord, buckets } from '@agentgate/contracts';
import { isOpen } from '../approval-index.ts';

/** What ended is still told as what it is for a day. */
const keepEndedS = 86_400;

export const createApprovalsBucket = (bus: Pick<Bus, 'bucket'>) =>
  createRecords<ApprovalRecord>(bus.bucket(buckets.approvals), {
    keyOf: ({ id }) => id,
    parse: (value) => approvalRecord.parse(value),
    keptS: (record) => (isOpen(record) ? undefined : keepEndedS),
    writeMs: 900,
    failure: (cause) => new AgentGateError('POLICY_UNAVAILABLE', 'the approvals do not answer', { cause }),
  });
