import { MAX_ENTRY_BYTES, readEntry } from '../entry.ts';
import type { EvidenceEvent } from '../event.ts';
import { saltedDigestFault } from '../salted.ts';
import { EVENT_SEAL_DOMAIN, type Seal, type SealFailureCode, verifySeal } from '../seal.ts';
import { createSealCache } from '../seal-cache.ts';
import { type FindingCode, type Findings, finding } from './finding.ts';
import { createLogClock, type Dated, type TimeTolerance } from './log-clock.ts';
import { createProducerChains, type SilentProducer } from './producer-chains.ts';
import { mayRecordKey, type ProducerKeys } from './producer-keys.ts';

/** What each entry says for itself and among the others: its form, seal, key, chain and time. */
export interface EntryChecker {
  check(index: number, bytes: Uint8Array): void;
  /** An entry whose own content is not asked for: only what it says of keys counts. */
  pass(index: number, bytes: Uint8Array): void;
  end(): void;
  summary(): EntriesSummary;
}

export interface EntriesSummary {
  /** Entries whose seal was verified. */
  readonly sealed: number;
  /** The earliest and latest time that these claim, in milliseconds since 1970. */
  readonly from?: number;
  readonly to?: number;
  /** Producers, counted by start. */
  readonly chains: number;
  /** Producers that fell silent without saying that they stop: twenty at most. */
  readonly silent: readonly SilentProducer[];
  /** Which keys sealed them, for which source's service, and how many entries. */
  readonly keys: readonly { readonly keyid: string; readonly signer: string; readonly entries: number }[];
}

interface CheckerOptions {
  findings: Findings;
  keys: ProducerKeys;
  tolerance: TimeTolerance;
  /** No event can be younger than this: when a witness or this verifier saw the log. */
  notAfter: number;
  mayBeginAnywhere: boolean;
}

const CODES: Readonly<Record<SealFailureCode, FindingCode>> = {
  MALFORMED: 'MALFORMED',
  BAD_PATH: 'BAD_SEAL',
  BAD_SIGNATURE: 'BAD_SEAL',
  UNKNOWN_KEY: 'UNKNOWN_KEY',
};
const ANOMALY = 'agentgate.evidence.anomaly.v1';
const AUDIT = 'agentgate/audit/';
/** What the sequencer appends in spite of its place, by its name there. */
const ANOMALIES: ReadonlyMap<string, FindingCode> = new Map([
  ['hole', 'HOLE'],
  ['wrong_prev', 'WRONG_PREV'],
  ['late', 'REPLAYED'],
]);

export function createEntryChecker(options: CheckerOptions): EntryChecker {
  const { findings, keys, tolerance, notAfter } = options;
  const cache = createSealCache();
  const clock = createLogClock(tolerance.neighboursMs);
  const chains = createProducerChains({
    findings,
    toleranceMs: tolerance.producerMs,
    mayBeginAnywhere: options.mayBeginAnywhere,
  });
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const signers = new Map<string, { keyid: string; signer: string; entries: number }>();
  let [sealed, from, to] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

  const tell = (code: FindingCode, index: number, what: string, reason: string): void =>
    findings.add(finding(code, { index, what: `entry ${index} ${what}`, reason }));

  /** The event, once its seal holds; the finding is told where it does not. */
  const open = (index: number, bytes: Uint8Array): { event: EvidenceEvent; seal: Seal; text: string } | undefined => {
    const read = readEntry(decode(decoder, bytes) ?? '');
    if (!read.ok) {
      tell('MALFORMED', index, 'is not of the form that entries have', read.reason);
      return undefined;
    }
    const { event, seal, text } = read;
    keys.introduce(event, (seal as Partial<Seal> | null)?.keyid ?? '');
    const lines = [event.source, event.producerepoch];
    const verdict = verifySeal({ domain: EVENT_SEAL_DOMAIN, lines, leaf: text, seal, keys, cache });
    if (verdict.ok) return { event, seal: seal as Seal, text };
    const revokedAt = verdict.code === 'UNKNOWN_KEY' && keys.revokedAt((seal as Seal).keyid, event.source);
    if (typeof revokedAt === 'number')
      tell('KEY_REVOKED', index, 'is sealed with a key that was revoked before', `entry ${revokedAt} revoked it`);
    else tell(CODES[verdict.code], index, WHAT[verdict.code], `${event.source}: ${verdict.reason}`);
    return undefined;
  };

  const takeKeys = (index: number, event: EvidenceEvent): void => {
    const fault = keys.take(event, index);
    if (fault !== undefined) tell('BAD_KEY_EVENT', index, 'says whose a key is, and may not', fault);
  };

  const checkTime = (index: number, event: EvidenceEvent, time: number): void => {
    if (time > notAfter + tolerance.neighboursMs) {
      const reason = `${event.time} is after ${new Date(notAfter).toISOString()}, when the log was seen`;
      tell('POSTDATED', index, 'is younger by its own word than the log', reason);
    } else if (clock.isBackdated(time)) {
      const minutes = tolerance.neighboursMs / 60_000;
      const reason = `${event.time} is more than ${minutes} minutes before what most entries before it say`;
      tell('BACKDATED', index, 'is older by its own word than the entries before it', reason);
    }
    tellPostdated(clock.push(index, time));
  };
  const tellPostdated = (dated: readonly Dated[]): void => {
    for (const { index, time } of dated) {
      const reason = `${new Date(time).toISOString()} is after what most entries after it say`;
      tell('POSTDATED', index, 'is younger by its own word than the entries after it', reason);
    }
  };

  return {
    check(index, bytes) {
      const opened = open(index, bytes);
      if (!opened) return;
      const { event, seal, text } = opened;
      const time = Date.parse(event.time);
      if (Number.isNaN(time)) return tell('MALFORMED', index, 'is not of the form that entries have', 'no such time');
      sealed += 1;
      from = Math.min(from, time);
      to = Math.max(to, time);
      count(signers, seal.keyid, event.source);
      chains.check(index, event, text, time);
      checkTime(index, event, time);
      const fault = digestFault(event.data);
      if (fault !== undefined) tell('BAD_DIGEST', index, 'holds a digest that is none', fault);
      takeKeys(index, event);
      if (event.type === ANOMALY && event.source.startsWith(AUDIT)) {
        const { kind, about } = event.data;
        const code = ANOMALIES.get(String(kind));
        if (code) findings.disclose(String(about), code, index);
      }
    },
    pass(index, bytes) {
      if (!mayRecordKey(bytes)) return;
      const opened = open(index, bytes);
      if (opened) takeKeys(index, opened.event);
    },
    end: () => tellPostdated(clock.end()),
    summary: () => ({
      sealed,
      ...(sealed > 0 && { from, to }),
      chains: chains.count,
      silent: chains.silent(to),
      keys: [...signers.values()],
    }),
  };
}

const WHAT: Readonly<Record<SealFailureCode, string>> = {
  MALFORMED: 'is not of the form that entries have',
  BAD_PATH: 'is not what its producer sealed',
  BAD_SIGNATURE: 'bears a seal that its producer did not make',
  UNKNOWN_KEY: 'is sealed with a key that its producer does not have',
};

/** Undefined for bytes that are no text, or more than an entry may have. */
function decode(decoder: TextDecoder, bytes: Uint8Array): string | undefined {
  if (bytes.length > MAX_ENTRY_BYTES) return undefined;
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

function count(
  signers: Map<string, { keyid: string; signer: string; entries: number }>,
  keyid: string,
  source: string,
) {
  const signer = source.slice(0, source.lastIndexOf('/') + 1) || source;
  const id = `${keyid} ${signer}`;
  const known = signers.get(id);
  if (known) known.entries += 1;
  else signers.set(id, { keyid, signer, entries: 1 });
}

/** Arguments and results stand in full or as a digest, never both: one of the two would be anybody's. */
function digestFault(data: EvidenceEvent['data']): string | undefined {
  for (const name of ['arguments', 'result']) {
    const digest = data[`${name}_digest`];
    if (digest === undefined) continue;
    if (data[name] !== undefined) return `it has both ${name} and their digest`;
    const fault = saltedDigestFault(digest);
    if (fault !== undefined) return `${name}_digest: ${fault}`;
  }
  return undefined;
}
