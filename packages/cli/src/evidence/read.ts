import type { Bus, Follower, StreamMessage } from '@agentgate/bus';
import { checkpointSubject, evidenceStream } from '@agentgate/contracts';
import {
  type ChainHead,
  checkLink,
  createSealCache,
  type EvidenceEvent,
  type KeyRing,
  leafHash,
  type Seal,
  verifyEntry,
} from '@agentgate/evidence';

/** An entry of EVIDENCE as an auditor reads it. */
export interface ReadEntry {
  index: number;
  /** RFC 6962 leaf hash of the text that was read, lowercase hex. */
  leafHash: string;
  /** Only of an entry whose seal is good: nothing else of it can be believed. */
  entry?: { event: EvidenceEvent; seal: Seal };
  /** What is wrong with it: its seal, its leaf hash, or its place in the log or in its producer's chain. */
  problems: string[];
}

type Message = Pick<StreamMessage, 'data' | 'header'>;

/**
 * Verifies entries one after the other: each seal by a key of its producer, the log's indexes without hole or repeat, and each producer's
 * chain. Of what lies before the first entry that is read nothing is known, so a chain may begin anywhere unless that is entry 0.
 */
export const createEntryVerifier = (keys: KeyRing): ((message: Message) => ReadEntry) => {
  const cache = createSealCache();
  const heads = new Map<string, ChainHead>();
  let first: number | undefined;
  let last: number | undefined;

  const chainProblem = (event: EvidenceEvent, text: string): string | undefined => {
    const producer = `${event.source} ${event.producerepoch}`;
    const head = heads.get(producer);
    const link = checkLink(head, event, text);
    if (link.ok) {
      heads.set(producer, link.head);
      return undefined;
    }
    if (!head || event.producerseq > head.seq) {
      // As if this were the first: each event after it is judged by it.
      const begun = checkLink(undefined, { ...event, producerseq: 1, producerprev: '' }, text);
      if (begun.ok) heads.set(producer, { ...begun.head, seq: event.producerseq });
    }
    const mayBegin = !head && first !== 0;
    return mayBegin ? undefined : link.reason;
  };

  return ({ data, header }) => {
    const text = new TextDecoder().decode(data);
    const index = Number(header('Ag-Index') ?? Number.NaN);
    const hash = leafHash(text).toString('hex');
    const problems: string[] = [];
    if (!Number.isSafeInteger(index)) problems.push('has no index');
    else if (last !== undefined && index !== last + 1) problems.push(`index ${index} comes after ${last}`);
    first ??= index;
    last = index;
    if (header('Ag-Leaf-Hash') !== hash) problems.push('its leaf hash is another one');
    const verdict = verifyEntry(text, { keys, cache });
    if (!verdict.ok) return { index, leafHash: hash, problems: [...problems, verdict.reason] };
    const broken = chainProblem(verdict.entry.event, verdict.text);
    return {
      index,
      leafHash: hash,
      entry: verdict.entry,
      problems: broken === undefined ? problems : [...problems, broken],
    };
  };
};

export interface ReadOptions {
  bus: Pick<Bus, 'follow' | 'streamInfo'>;
  keys: KeyRing;
  /** Only the last so many. */
  last?: number | undefined;
  onEntry: (entry: ReadEntry) => void;
}

/** Reads EVIDENCE and goes on reading; resolves once everything that was there has been handed on. */
export const readEvidence = async ({ bus, keys, last, onEntry }: ReadOptions): Promise<Follower> => {
  const verify = createEntryVerifier(keys);
  const { firstSeq, lastSeq } = await bus.streamInfo(evidenceStream.name);
  const from = last === undefined ? firstSeq : Math.max(firstSeq, lastSeq - last + 1);
  return bus.follow(evidenceStream.name, {
    from,
    onMessage: (message) => {
      if (message.subject !== checkpointSubject) onEntry(verify(message));
    },
  });
};
