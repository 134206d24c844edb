import type { BucketRecords, HeldRecord } from '@agentgate/bus';
import type { ApprovalGrant, ApprovalRecord, EventDraft, GrantClaims } from '@agentgate/contracts';

// What the domain needs of the world outside. Each rejects with an AgentGateError when its part fails.

export type Held = HeldRecord<ApprovalRecord>;
/** A record that ended goes by itself after a day. */
export type Records = Pick<BucketRecords<ApprovalRecord>, 'create' | 'update' | 'read'>;

type ApprovalEvent =
  | 'approval.requested'
  | 'approval.granted'
  | 'approval.rejected'
  | 'approval.expired'
  | 'approval.voided'
  | 'approval.consumed';
export interface Evidence {
  record(draft: EventDraft<ApprovalEvent>): Promise<string>;
}

export interface Grants {
  seal(claims: GrantClaims): ApprovalGrant;
}
