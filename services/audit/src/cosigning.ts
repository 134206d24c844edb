import type { NoteSignature } from '@agentgate/evidence';

/** A checkpoint that the log stands by for ever: it was signed, is durable, and so is every tile under it. */
export interface SignedCheckpoint {
  readonly size: number;
  /** The log's own signed note, as witnesses are asked about it. */
  readonly note: string;
}

/**
 * Asks witnesses about a checkpoint, whose tiles lie in the published folder by then. Asked for one checkpoint at a time, always
 * the newest, and for the same one again at each heartbeat. Resolves within its own deadline with the cosignatures that it got, of none
 * too: what is published waits for it, acknowledgements do not.
 */
export type Cosign = (checkpoint: SignedCheckpoint) => Promise<readonly NoteSignature[]>;
