import type { PermitClaims } from '@agentgate/contracts';
import type { Recollection } from './provenance/trace.ts';

// What is known of a call's session when it is judged, and what the call leaves behind.

export interface SessionOwner {
  tenant: string;
  agent: string;
}
/** Times in milliseconds since the epoch. */
export interface SessionFacts extends SessionOwner {
  openedAt: number;
  expiresAt: number;
  purpose: string;
  /** The NATS user that opened it, by its public key; absent where a recorded call is judged again. */
  user?: string;
  /** Whom the agent acts for, where the session names a person. */
  subject?: PermitClaims['subject'];
  held: boolean;
  /** Calls asked for and calls denied before this one. */
  calls: number;
  denied: number;
  /** Labels on the session and on its agent. */
  taint: { session: string[]; agent: string[] };
}
/** What sessions and their agents saw before. */
export interface Recall {
  /** What is known of each call's values, in order, in one round trip. */
  recall(asked: (SessionOwner & { session: string; counter: string; keys: string[] })[]): Promise<Recalled[]>;
}
export interface Recalled extends Pick<Recollection, 'sources' | 'written'> {
  /** What the counter stands at. */
  used: number;
  /** More was seen than is kept: what is not known may have been seen. */
  full: boolean;
}
export interface Commit extends SessionOwner {
  session: string;
  expiresAt: number;
  /** A counter of the session, and what it may go up to; absent where nothing is counted. */
  charge?: { counter: string; budget: number } | undefined;
  taint: readonly string[];
  /** Keys of values that the agent itself may have put into the world. */
  written: readonly string[];
}
