import { type ChainHead, checkLink, type LinkFailureCode } from '../chain.ts';
import type { EvidenceEvent } from '../event.ts';
import { sha256Hex } from '../hash.ts';
import { type FindingCode, type Findings, finding } from './finding.ts';

/** Each producer's chain and its own clock: one head a producer and start, whatever the number of entries. */
export interface ProducerChains {
  check(index: number, event: EvidenceEvent, text: string, time: number): void;
  readonly count: number;
  /** Those that neither stopped nor said anything for a minute when the entries end at `end`, longest silence first. */
  silent(end: number): SilentProducer[];
}

export interface SilentProducer {
  readonly source: string;
  /** The time of its last event, in milliseconds since 1970. */
  readonly since: number;
}

interface ChainsOptions {
  findings: Findings;
  /** How far a producer's clock may be set back. */
  toleranceMs: number;
  /** Where nothing is known of what came before, a chain may begin anywhere. */
  mayBeginAnywhere: boolean;
}

/** Nine services restarted every hour for three years. Beyond it a log cannot be judged in bounded memory. */
const MAX_CHAINS = 250_000;
/** Producers say every ten seconds that they are there. */
const SILENCE_MS = 60_000;
const MAX_SILENT = 20;
const STOPPED = 'agentgate.producer.stopped.v1';

const CODES: Readonly<Record<LinkFailureCode, FindingCode>> = {
  HOLE: 'HOLE',
  NEW_EPOCH_NOT_FIRST: 'HOLE',
  REPEAT: 'REPLAYED',
  REPEAT_OTHER_BYTES: 'REPLAYED',
  WRONG_PREV: 'WRONG_PREV',
};

interface Head extends ChainHead {
  readonly source: string;
  readonly time: number;
  readonly hasStopped: boolean;
}

export function createProducerChains({ findings, toleranceMs, mayBeginAnywhere }: ChainsOptions): ProducerChains {
  const heads = new Map<string, Head>();
  let isFull = false;

  return {
    get count() {
      return heads.size;
    },
    check(index, event, text, time) {
      const { source, producerepoch: epoch, producerseq: seq } = event;
      const producer = `${source} ${epoch}`;
      const head = heads.get(producer);
      if (!head && heads.size >= MAX_CHAINS) {
        const what = `entry ${index} begins the chain of one producer too many`;
        if (!isFull) findings.add(finding('TOO_MANY_PRODUCERS', { index, what, reason: `${MAX_CHAINS} are known` }));
        isFull = true;
        return;
      }
      const link = checkLink(head, event, text);
      if (!link.ok && !(head === undefined && mayBeginAnywhere)) {
        const code = CODES[link.code];
        const missing = head && seq > head.seq + 1 ? `${head.seq + 1} to ${seq - 1}` : `1 to ${seq - 1}`;
        const what = {
          HOLE: `entry ${index} follows a hole: event ${missing} of its producer is missing`,
          REPLAYED: `entry ${index} repeats a place of its producer's chain`,
          WRONG_PREV: `entry ${index} does not follow from its producer's event before it`,
        }[code as 'HOLE' | 'REPLAYED' | 'WRONG_PREV'];
        // As the sequencer names the place in the anomalies that it reports.
        findings.addAt(`${producer} ${seq}`, finding(code, { index, what, reason: `${source}: ${link.reason}` }));
      }
      if (head && seq <= head.seq) return;
      if (head && time < head.time - toleranceMs) {
        const what = `entry ${index} is older by its own word than its producer's event before it`;
        const reason = `${source}: ${event.time} comes after ${new Date(head.time).toISOString()}`;
        findings.add(finding('BACKDATED', { index, what, reason }));
      }
      const hash = link.ok ? link.head.hash : sha256Hex(text);
      const hasStopped = event.type === STOPPED;
      heads.set(producer, { source, epoch, seq, hash, time: Math.max(time, head?.time ?? time), hasStopped });
    },
    // One that failed and one whose last events were cut off look the same: somebody who knows must say which.
    silent: (end) =>
      [...heads.values()]
        .filter(({ time, hasStopped }) => !hasStopped && time < end - SILENCE_MS)
        .sort((a, b) => a.time - b.time)
        .slice(0, MAX_SILENT)
        .map(({ source, time }) => ({ source, since: time })),
  };
}
