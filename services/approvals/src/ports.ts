import type { ApprovalGrant, ApprovalRecord, EventDraft, GrantClaims } from '@agentgate/contracts';

// What the domain needs of the world outside. Each rejects with an AgentGateError when its part fails.

export interface Held {
  record: ApprovalRecord;
  revision: number;
}

/** The records, by compare-and-set: whoever writes second is told `conflict`. */
export interface Records {
  create(record: ApprovalRecord): Promise<number | 'conflict'>;
  /** A record that ended goes by itself after a day. */
  update(record: ApprovalRecord, revision: number): Promise<number | 'conflict'>;
  read(id: string): Promise<Held | undefined>;
}

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
