import { type Checkpoint, verifyCheckpoint } from '../checkpoint.ts';
import { type Cosignature, checkWitnesses, type WitnessPolicy } from '../cosignature.ts';
import type { Note } from '../note.ts';
import type { NoteKey } from '../note-key.ts';
import { createEntryChecker, type EntriesSummary } from './entry-checker.ts';
import { createFindings, type Finding, type Findings, finding } from './finding.ts';
import { TIME_TOLERANCE, type TimeTolerance } from './log-clock.ts';
import { createLogFiles, type LogFiles, type ReadFile } from './log-files.ts';
import { openLogTiles } from './log-tiles.ts';
import {
  createProducerKeys,
  type KeyAuthority,
  type ProducerKey,
  type ProducerKeys,
  type ProducerTrust,
} from './producer-keys.ts';
import { checkRemembered } from './remembered.ts';
import { type Progress, walkEntries } from './walk.ts';

export interface LogTrust {
  /** The log's key, of type 0x01; its name is the log's origin. */
  readonly log: NoteKey;
  /** Undefined says plainly that no witness is asked for. */
  readonly witnesses?: WitnessPolicy | undefined;
  readonly producers?: ProducerTrust | undefined;
}

export interface VerifierOptions {
  readonly trust: LogTrust;
  readonly read: ReadFile;
  /** In milliseconds since 1970. */
  readonly now: () => number;
  /** The signed note of the checkpoint that this verifier accepted last. */
  readonly remembered?: string | undefined;
  /** How old the newest cosignature may be, in milliseconds. Only a log that is still written to has young ones. */
  readonly maxAgeMs?: number | undefined;
  /** Entries below it are only held against the tree and read for keys. */
  readonly fromIndex?: number | undefined;
  /** False leaves seals, chains and times alone: each entry is what the checkpoint was signed over, whoever wrote it. */
  readonly seals?: boolean | undefined;
  readonly tolerance?: TimeTolerance | undefined;
  /** Holes and the like that the log itself reports, as `evidence.anomaly`, do not make the verdict bad. */
  readonly acceptDisclosed?: boolean | undefined;
  /** Called after each bundle of 256 entries. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface LogVerdict {
  readonly ok: boolean;
  /** Of the whole log first, then by entry: at most a hundred. */
  readonly findings: readonly Finding[];
  /** How many there were. */
  readonly total: number;
  /** The lowest entry that is wrong or in doubt. */
  readonly firstBadIndex?: number;
  /** Where the log's key signed it, whatever else is wrong. */
  readonly checkpoint?: Checkpoint;
  /** Its signed note: what to remember of a log whose verdict is good. */
  readonly note?: string;
  readonly cosignatures: readonly Cosignature[];
  readonly keys: readonly ProducerKey[];
  readonly keyAuthority: KeyAuthority;
  readonly entries: EntriesSummary;
  /** What can be relied on in spite of the findings, in plain sentences. */
  readonly holds: readonly string[];
}

export interface Verifier {
  /** Never rejects for what it reads, only where `read` does. To be called once. */
  verify(): Promise<LogVerdict>;
}

/**
 * Verifies a log by its files alone, in one pass and flat memory: checkpoint, cosignatures, what was seen before, each
 * hash from the root down, and each entry's form, seal, key, chain and time. It goes on after a finding, so as to say
 * what still holds. Throws BAD_KEY for a deployment key that is none.
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { trust, read, now, tolerance = TIME_TOLERANCE, fromIndex = 0, seals = true } = options;
  const keys = createProducerKeys(trust.producers ?? {});
  const files = createLogFiles(read);
  const findings = createFindings();
  return {
    async verify() {
      const signed = await readCheckpoint(files, trust.log, findings);
      if (!signed) return verdictOf({ findings, keys, cosignatures: [], entries: NO_ENTRIES, options });
      const { checkpoint, note } = signed;
      const cosignatures = checkCosignatures(note, options, findings);
      const seenAt = cosignatures.map(({ time }) => time * 1_000);
      const checker = createEntryChecker({
        findings,
        keys,
        tolerance,
        notAfter: seenAt.length > 0 ? Math.max(...seenAt) : now(),
        mayBeginAnywhere: fromIndex > 0,
      });
      await walkEntries({
        files,
        findings,
        tiles: await openLogTiles({ files, checkpoint, findings }),
        size: checkpoint.size,
        // Without a list of keys given beforehand, those that the log records are needed from its beginning.
        from: keys.authority === 'given' || !seals ? fromIndex : 0,
        visit: (index, bytes) => {
          if (seals) (index < fromIndex ? checker.pass : checker.check)(index, bytes);
        },
        onProgress: options.onProgress,
      });
      checker.end();
      await checkRemembered({ files, findings, log: trust.log, checkpoint, remembered: options.remembered });
      return verdictOf({ findings, keys, cosignatures, entries: checker.summary(), options, signed });
    },
  };
}

interface Signed {
  readonly checkpoint: Checkpoint;
  readonly note: Note;
  readonly text: string;
}

async function readCheckpoint(files: LogFiles, log: NoteKey, findings: Findings): Promise<Signed | undefined> {
  const what = 'the checkpoint is not one that this log signed';
  const bytes = await files.checkpoint();
  if (bytes === undefined) {
    findings.add(
      finding('NO_CHECKPOINT', { what: 'there is no checkpoint', reason: 'the file checkpoint is missing' }),
    );
    return undefined;
  }
  const verdict = verifyCheckpoint(bytes, { origin: log.name, keys: [log] });
  if (verdict.ok) return { ...verdict, text: Buffer.from(bytes).toString() };
  findings.add(finding('BAD_CHECKPOINT', { what, reason: verdict.reason }));
  return undefined;
}

function checkCosignatures(
  note: Note,
  { trust: { witnesses }, now, maxAgeMs }: VerifierOptions,
  findings: Findings,
): readonly Cosignature[] {
  if (!witnesses) return [];
  const verdict = checkWitnesses(note, witnesses);
  if (!verdict.ok) {
    const what = 'the checkpoint does not bear the cosignatures that it must';
    findings.add(finding('NOT_WITNESSED', { what, reason: verdict.reason }));
    return [];
  }
  const newest = Math.max(...verdict.cosignatures.map(({ time }) => time * 1_000));
  // One of the future is no better than one of the past: it would be young for ever.
  if (maxAgeMs !== undefined && Math.abs(now() - newest) > maxAgeMs) {
    const reason = `the newest is of ${new Date(newest).toISOString()}, more than ${maxAgeMs / 1_000} s from now`;
    findings.add(finding('STALE', { what: 'no witness has cosigned the checkpoint of late', reason }));
  }
  return verdict.cosignatures;
}

const NO_ENTRIES: EntriesSummary = { sealed: 0, chains: 0, silent: [], keys: [] };

interface VerdictParts {
  findings: Findings;
  keys: ProducerKeys;
  cosignatures: readonly Cosignature[];
  entries: EntriesSummary;
  options: VerifierOptions;
  signed?: Signed;
}

function verdictOf({ findings, keys, cosignatures, entries, options, signed }: VerdictParts): LogVerdict {
  const list = findings.list();
  const bad = options.acceptDisclosed ? findings.undisclosed : findings.total;
  const indexes = list.flatMap(({ index }) => index ?? []);
  const firstBadIndex = indexes.length > 0 ? Math.min(...indexes) : undefined;
  return {
    ok: bad === 0,
    findings: list,
    total: findings.total,
    ...(firstBadIndex !== undefined && { firstBadIndex }),
    ...(signed && { checkpoint: signed.checkpoint, note: signed.text }),
    cosignatures,
    keys: keys.recorded(),
    keyAuthority: keys.authority,
    entries,
    holds: signed ? whatHolds({ findings, cosignatures, options, signed, firstBadIndex }) : [],
  };
}

function whatHolds({
  findings,
  cosignatures,
  options: { seals = true, fromIndex = 0 },
  signed: { checkpoint },
  firstBadIndex,
}: Pick<VerdictParts, 'findings' | 'cosignatures' | 'options'> & {
  signed: Signed;
  firstBadIndex: number | undefined;
}): string[] {
  const { origin, size } = checkpoint;
  const by =
    cosignatures.length > 0 ? `, and cosigned by ${cosignatures.map(({ witness }) => witness.name).join(', ')}` : '';
  const holds = [`The checkpoint of ${size} entries is signed by ${origin}${by}.`];
  if (!findings.hasStructure) {
    holds.push(`Each of the ${size} entries is what that checkpoint was signed over, at its place.`);
  } else if (firstBadIndex !== undefined && firstBadIndex > 0 && !findings.isRootUnknown) {
    holds.push(`Entries 0 to ${firstBadIndex - 1} are what that checkpoint was signed over, each at its place.`);
  }
  const from = fromIndex;
  if (seals && firstBadIndex !== undefined && firstBadIndex > from) {
    holds.push(`Entries ${from} to ${firstBadIndex - 1} bear their producers’ seals and follow one from another.`);
  }
  return holds;
}
