import type {
  ActiveRecord,
  AgentGateError,
  AgentRecord,
  ApprovalGrant,
  ApprovalQuestion,
  AskedRecord,
  BundleRecord,
  CatalogTool,
  DecideAsk,
  EventDraft,
  ExceptionAskedRecord,
  ExceptionsRecord,
  ListingClaims,
  ListingPermit,
  Obligations,
  Permit,
  PermitClaims,
  PolicyException,
  PolicyHistory,
  ShadowRecord,
  ToolPin,
  TurnRecord,
} from '@agentgate/contracts';
import type {
  Commit,
  Evaluation,
  PolicyInput,
  Recall,
  SeenValue,
  SessionFacts,
  SessionOwner,
} from '@agentgate/policy-engine';

// What the domain needs of the world outside. Each rejects with an AgentGateError when its part fails.

export interface Sessions {
  /** The facts of each, in order, in one round trip; `count` counts a call in those that the asking agent owns. */
  look(asked: (SessionOwner & { session: string })[], opts: { count: boolean }): Promise<(SessionFacts | undefined)[]>;
  /** False when the agent has opened too many lately. */
  admit(owner: SessionOwner): Promise<boolean>;
  open(
    session: SessionOwner & {
      session: string;
      openedAt: number;
      expiresAt: number;
      purpose: string;
      user: string;
      subject?: PermitClaims['subject'];
    },
  ): Promise<void>;
  /** False when the session is somebody else's. One that is gone needs no hold. */
  hold(ask: SessionOwner & { session: string; call: string; held: boolean }): Promise<boolean>;
  countDenied(sessions: string[]): Promise<void>;
}
export interface TaintOwner extends SessionOwner {
  session?: string | undefined;
}
/** What a session and its agent did and saw, for the packs. Shared by all replicas. */
export interface Memory extends Recall {
  /** Writes what each call leaves, in one round trip. False where its budget was used up meanwhile: then nothing was written. */
  commit(calls: Commit[]): Promise<boolean[]>;
  /** Nothing is remembered for a session that is gone: no call can be asked in it any more. Rejects for somebody else's session. */
  remember(
    seen: SessionOwner & {
      session: string;
      tool: string;
      private: boolean;
      values: readonly SeenValue[];
      overflow: boolean;
    },
  ): Promise<void>;
  /** Labels that are on it now. */
  taintOf(of: TaintOwner): Promise<string[]>;
  clearTaint(of: TaintOwner, labels: string[]): Promise<void>;
}
/** People who decide. Rejects with APPROVAL_INVALID for an approval that is not granted for exactly this call. */
export interface Approvals {
  request(question: ApprovalQuestion): Promise<Waiting>;
  /** A granted one is used from then on. */
  redeem(ask: {
    approval: string;
    binding: string;
    call: string;
    tenant: string;
    agent: string;
    session: string;
    tool: string;
  }): Promise<{ grant: ApprovalGrant } | { pending: Waiting }>;
}
export interface Waiting {
  id: string;
  expires_at: string;
}
export interface RateLimits {
  /** Counts one call against each. With an answer one is over: how long to wait, in milliseconds. */
  take(limits: NonNullable<Obligations['rate_limits']>): Promise<{ key: string; retryAfterMs: number } | undefined>;
}
export interface Agents {
  get(tenant: string, agent: string): AgentRecord | undefined;
}
export interface Catalog {
  get(tool: string): CatalogTool | undefined;
  all(): Iterable<CatalogTool>;
}
export interface Pins {
  get(tool: string): ToolPin | undefined;
}
export interface Engine {
  decide(inputs: PolicyInput[]): Promise<(Evaluation | AgentGateError)[]>;
}
export interface Permits {
  /** One signature for all. */
  seal(claims: PermitClaims[]): Permit[];
  /** For the runner's own reading of a server's list of tools. */
  sealListing(claims: ListingClaims): ListingPermit;
}
export interface Evidence {
  record(draft: EventDraft<'session.opened'> | EventDraft<'session.cleared'>): Promise<string>;
}

/** The records that all replicas share. A write resolves with its revision, or undefined where somebody else wrote first. */
export interface PolicyRecords {
  /** As their leader has it now. */
  active(): Promise<{ epoch: number; record?: ActiveRecord }>;
  activate(record: ActiveRecord, epoch: number): Promise<number | undefined>;
  /** False where the version is taken. */
  addBundle(record: BundleRecord): Promise<boolean>;
  bundle(version: number): Promise<BundleRecord | undefined>;
  turn(): Promise<Kept<TurnRecord> | undefined>;
  takeTurn(record: TurnRecord, revision: number): Promise<number | undefined>;
  asked(): Promise<Kept<AskedRecord> | undefined>;
  ask(record: AskedRecord, revision: number): Promise<number | undefined>;
  /** The newest first. */
  history(): Pick<PolicyHistory, 'activations' | 'bundles'>;
}
/** What stands in the records beside the policies themselves. */
export interface ExceptionRecords {
  /** As their leader has it now. */
  exceptions(): Promise<Kept<ExceptionsRecord> | undefined>;
  keepExceptions(record: ExceptionsRecord, revision: number): Promise<number | undefined>;
  exceptionAsked(): Promise<Kept<ExceptionAskedRecord> | undefined>;
  askException(record: ExceptionAskedRecord, revision: number): Promise<number | undefined>;
}
export interface ShadowRecords {
  shadow(): Promise<Kept<ShadowRecord> | undefined>;
  setShadow(record: ShadowRecord, revision: number): Promise<number | undefined>;
}
/** The operator's exceptions, as a decision asks about them. */
export interface Exempt {
  covering(ask: Pick<DecideAsk, 'tenant' | 'agent' | 'tool' | 'arguments'>): PolicyException | undefined;
  mayCover(ask: Pick<DecideAsk, 'tenant' | 'agent' | 'tool'>): boolean;
}
interface Kept<T> {
  value: T;
  revision: number;
}
