import type { BucketRecords, HeldRecord } from '@agentgate/bus';
import type { AlertRecord } from '@agentgate/contracts';

// What the domain needs of the world outside.

export type Held = HeldRecord<AlertRecord>;
/** Rejects when the bucket does not answer. What was delivered or given up goes by itself, later. */
export type Records = Pick<BucketRecords<AlertRecord>, 'create' | 'update' | 'read'>;

/** What became of one try. `gone`: the receiver says that it will never take any (HTTP 410). */
export type Outcome = { ok: true } | { ok: false; problem: string; gone?: true };

/** Tries once, within a deadline of its own; never rejects. */
export type Send = (endpoint: string, message: { id: string; body: string }, signal: AbortSignal) => Promise<Outcome>;

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What the meters count. */
export interface Counts {
  tried(endpoint: string, outcome: 'delivered' | 'failed'): void;
  /** No alert was made: as many wait and are dead as may be. */
  dropped(endpoint: string): void;
  /** An entry of EVIDENCE that nobody who may say so signed. */
  untrusted(): void;
}
