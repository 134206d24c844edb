import type { BatchFailureCode } from '@agentgate/evidence';

/**
 * What can be wrong with evidence. The first line is a batch that proves nothing: it is quarantined. `hole` to `late` are verified
 * events in a wrong place: they are appended all the same. `repeat` and `id_reused` cannot be appended: their place is taken.
 * `bad_disclosure` came beside a good event, and does not open its digest.
 */
export type AnomalyKind =
  | Lowercase<BatchFailureCode>
  | 'wrong_subject'
  | 'hole'
  | 'wrong_prev'
  | 'late'
  | 'repeat'
  | 'id_reused'
  | 'bad_disclosure'
  | 'orphan'
  | 'silent'
  | 'fork'
  | 'unwitnessed';

export interface Anomaly {
  kind: AnomalyKind;
  /** The producer and place, the subject, or the call that it is about. */
  about: string;
  detail: string;
  /** The same anomaly, however often it is seen, is recorded once. */
  key: string;
  tenant?: string | undefined;
  agent?: string | undefined;
  session?: string | undefined;
  /**
   * False for what is wrong with audit's own events: an event about them could itself be wrong in the same way, and so on without end.
   * Those stand in the table, the log and the metric.
   */
  toEvidence: boolean;
}

export const aboutMax = 512;
export const detailMax = 2048;
