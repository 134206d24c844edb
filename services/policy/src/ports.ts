import type { AgentGateError, AgentRecord, CatalogTool, EventDraft, Permit, PermitClaims } from '@agentgate/contracts';
import type { Evaluation } from './engine/evaluator.ts';
import type { PolicyInput } from './engine/policy-input.ts';

// What the domain needs of the world outside. Each rejects with an AgentGateError when its part fails.

export interface SessionOwner {
  tenant: string;
  agent: string;
}
/** Times in milliseconds since the epoch. */
export interface SessionFacts extends SessionOwner {
  openedAt: number;
  expiresAt: number;
  purpose: string;
  held: boolean;
  /** Calls asked for and calls denied before this one. */
  calls: number;
  denied: number;
}
export interface Sessions {
  /** The facts of each, in order, in one round trip; `count` counts a call in those that the asking agent owns. */
  look(asked: (SessionOwner & { session: string })[], opts: { count: boolean }): Promise<(SessionFacts | undefined)[]>;
  /** False when the agent has opened too many lately. */
  admit(owner: SessionOwner): Promise<boolean>;
  open(
    session: SessionOwner & { session: string; openedAt: number; expiresAt: number; purpose: string },
  ): Promise<void>;
  /** False when the session is somebody else's. One that is gone needs no hold. */
  hold(ask: SessionOwner & { session: string; call: string; held: boolean }): Promise<boolean>;
  countDenied(sessions: string[]): Promise<void>;
}
export interface Agents {
  get(tenant: string, agent: string): AgentRecord | undefined;
}
export interface Catalog {
  get(tool: string): CatalogTool | undefined;
  all(): Iterable<CatalogTool>;
}
export interface Engine {
  decide(inputs: PolicyInput[]): Promise<(Evaluation | AgentGateError)[]>;
}
export interface Permits {
  /** One signature for all. */
  seal(claims: PermitClaims[]): Permit[];
}
export interface Evidence {
  record(draft: EventDraft<'session.opened'>): Promise<string>;
}
