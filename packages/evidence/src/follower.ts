import { type ChainHead, checkLink } from './chain.ts';
import { type CheckpointFailureCode, verifyCheckpoint } from './checkpoint.ts';
import { type CosignatureFailureCode, checkWitnesses, type WitnessPolicy } from './cosignature.ts';
import { verifyEntry } from './entry.ts';
import { type Failure, failure } from './error.ts';
import type { EvidenceEvent } from './event.ts';
import { leafHash, sha256Hex } from './hash.ts';
import type { KeyRing } from './keys.ts';
import type { NoteKey } from './note-key.ts';
import type { SealFailureCode } from './seal.ts';
import { createSealCache } from './seal-cache.ts';
import { createTree, type Edge } from './tree.ts';

/** What a follower believes from the start. */
export interface FollowerTrust {
  readonly origin: string;
  /** The log's keys, of type 0x01. */
  readonly logKeys: readonly NoteKey[];
  /** The producers' keys. Asked for each entry, so a ring that learns from key.added entries may grow meanwhile. */
  readonly keys: KeyRing;
  /** Undefined says plainly that no witness is asked for. */
  readonly witnesses: WitnessPolicy | undefined;
  /** Where to begin: the edge under a checkpoint that was verified before. By default at the first entry. */
  readonly from?: Edge;
}

export interface StreamedEntry {
  readonly text: string;
  /** As header Ag-Index says. */
  readonly index: number;
  /** As header Ag-Leaf-Hash says, lowercase hex. */
  readonly leafHash: string;
}

export type EntryFailureCode = SealFailureCode | 'WRONG_INDEX' | 'WRONG_LEAF_HASH';
export type EntryVerdict =
  | {
      readonly ok: true;
      readonly event: EvidenceEvent;
      /** Undefined where the event follows its producer's last one, or is the first one seen of it; else what is wrong with its place. */
      readonly misplaced: string | undefined;
    }
  | Failure<EntryFailureCode>;

export type FollowedFailureCode = CheckpointFailureCode | CosignatureFailureCode | 'WRONG_SIZE' | 'WRONG_ROOT';
export type FollowedVerdict =
  | { readonly ok: true; readonly size: number /** What a later follower may begin at. */; readonly edge: Edge }
  | Failure<FollowedFailureCode>;

/**
 * Verifies a log as it is streamed: each entry by its seal and its place, each checkpoint by the tree over all entries before it.
 * It keeps the right edge of the tree and the head of each producer's chain, so its memory does not grow with the log. An entry is
 * final once a checkpoint after it held. After an entry that failed its place is still counted, so that one bad entry is one failure.
 */
export interface Follower {
  readonly size: number;
  entry(streamed: StreamedEntry): EntryVerdict;
  /** A signed note. Whatever comes before all entries that it covers, or long after, is WRONG_SIZE. */
  checkpoint(note: string | Uint8Array): FollowedVerdict;
}

/** Throws MALFORMED where `from` is no edge. */
export function createFollower({ origin, logKeys, keys, witnesses, from }: FollowerTrust): Follower {
  const tree = createTree(from);
  const cache = createSealCache();
  const heads = new Map<string, ChainHead>();

  /** Of what lies before the start nothing is known, so there a chain may begin anywhere. */
  const misplaced = (event: EvidenceEvent, text: string): string | undefined => {
    const producer = `${event.source} ${event.producerepoch}`;
    const head = heads.get(producer);
    const link = checkLink(head, event, text);
    if (link.ok) heads.set(producer, link.head);
    else if (head === undefined || event.producerseq > head.seq) heads.set(producer, headAt(event, text));
    return link.ok || (head === undefined && from !== undefined) ? undefined : link.reason;
  };

  return {
    get size() {
      return tree.size;
    },
    entry({ text, index, leafHash: claimed }) {
      const expected = tree.size;
      if (index !== expected) return failure('WRONG_INDEX', `entry ${index} came where ${expected} was expected`);
      const hash = leafHash(text);
      tree.push(hash);
      if (hash.toString('hex') !== claimed) return failure('WRONG_LEAF_HASH', `entry ${index} has another leaf hash`);
      const verdict = verifyEntry(text, { keys, cache });
      if (!verdict.ok) return failure(verdict.code, `entry ${index}: ${verdict.reason}`);
      const { event } = verdict.entry;
      return { ok: true, event, misplaced: misplaced(event, verdict.text) };
    },
    checkpoint(note) {
      const signed = verifyCheckpoint(note, { origin, keys: logKeys });
      if (!signed.ok) return signed;
      const { size, root } = signed.checkpoint;
      if (size !== tree.size) return failure('WRONG_SIZE', `a checkpoint of ${size} came after ${tree.size} entries`);
      if (Buffer.compare(root, tree.root()) !== 0) {
        return failure('WRONG_ROOT', `the checkpoint of ${size} is not one of these entries`);
      }
      const seen = witnesses ? checkWitnesses(signed.note, witnesses) : undefined;
      return seen === undefined || seen.ok ? { ok: true, size, edge: tree.edge() } : seen;
    },
  };
}

function headAt({ producerepoch: epoch, producerseq: seq }: EvidenceEvent, text: string): ChainHead {
  return { epoch, seq, hash: sha256Hex(text) };
}
