import { formatNote, type NoteSignature, parseNote } from '@agentgate/evidence';
import type { Anomaly } from './anomaly.ts';
import type { Cosign, SignedCheckpoint } from './cosigning.ts';
import type { Witness, WitnessOptions } from './witness.ts';

export interface WitnessesOptions {
  /** Makes each witness with what it is to tell. */
  each: readonly ((tell: Pick<WitnessOptions, 'onCosigned' | 'onFork'>) => Witness)[];
  quorum: number;
  /** A checkpoint with the cosignatures of a quorum; each is newer than the one before. */
  onCosigned: (checkpoint: CosignedCheckpoint) => void;
  /** Somebody shows a fork, or nobody has looked for too long. */
  onAnomaly: (anomaly: Anomaly) => void;
  /** Milliseconds since the epoch. */
  now: () => number;
  waitMs?: number;
}

export interface CosignedCheckpoint {
  readonly size: number;
  /** The signed note with the cosignatures. */
  readonly note: string;
}

export interface Witnesses {
  cosign: Cosign;
  /** For how long the newest checkpoint has been without a quorum; 0 where it has one. */
  lagMs(): number;
  /** What an operator should know, or true. */
  health(): true | string;
  problems(): { witness: string; problem: string | undefined }[];
  /** To be called each second. */
  tick(): void;
  close(): void;
}

/** What is published waits so long for witnesses, and not at all for one that failed the last time. */
const publishMs = 500;
/** Once there is a quorum the others have so long to be in what is published. */
const graceMs = 50;
/** A lag beyond this is an anomaly. */
const lagMaxMs = 30_000;
/** A slow witness may sign a checkpoint that is not the newest any more. */
const roundsKept = 16;

interface Round {
  checkpoint: SignedCheckpoint;
  signatures: Map<string, NoteSignature>;
  heard: () => void;
}

/** Asks all witnesses at once and waits for none that is dead: neither a checkpoint nor another witness is late because of it. */
export const createWitnesses = (options: WitnessesOptions): Witnesses => {
  const { quorum, onCosigned, onAnomaly, now, waitMs = publishMs } = options;
  const rounds: Round[] = [];
  /** Those that were waited for in vain: not again before they sign something. */
  const late = new Set<string>();
  let cosigned = 0;
  let newest = 0;
  let behindSince: number | undefined;
  let isLate = false;

  const take = (checkpoint: SignedCheckpoint, signature: NoteSignature) => {
    const round = rounds.findLast((each) => each.checkpoint.note === checkpoint.note);
    if (!round) return;
    late.delete(signature.name);
    round.signatures.set(signature.name, signature);
    if (round.signatures.size >= quorum && checkpoint.size >= cosigned) {
      cosigned = checkpoint.size;
      if (cosigned === newest) behindSince = undefined;
      onCosigned({ size: cosigned, note: withSignatures(checkpoint.note, round.signatures.values()) });
    }
    round.heard();
  };
  const all: readonly Witness[] = options.each.map((create) => {
    const witness: Witness = create({
      onCosigned: take,
      onFork: (what) =>
        onAnomaly({
          kind: 'fork',
          about: witness.key.name,
          detail: `witness ${witness.key.name} contradicts this log: ${what}`,
          key: `fork ${witness.key.name} ${what}`,
          toEvidence: true,
        }),
    });
    return witness;
  });
  const lagMs = () => (behindSince === undefined ? 0 : now() - behindSince);
  const why = () =>
    all.flatMap(({ key, problem }) => (problem() === undefined ? [] : [`${key.name}: ${problem()}`])).join('; ') ||
    'too few have answered';

  return {
    cosign: async (checkpoint) => {
      newest = checkpoint.size;
      if (newest > cosigned) behindSince ??= now();
      const round: Round = { checkpoint, signatures: new Map(), heard: () => {} };
      rounds.push(round);
      if (rounds.length > roundsKept) rounds.shift();
      const awaited = all.filter((witness) => witness.problem() === undefined && !late.has(witness.key.name));
      const offers = new Map(all.map((witness) => [witness, witness.offer(checkpoint)]));
      await enough(
        round,
        awaited.map((witness) => offers.get(witness) ?? Promise.resolve()),
        { quorum, waitMs },
      );
      for (const { key } of awaited) if (!round.signatures.has(key.name)) late.add(key.name);
      return [...round.signatures.values()];
    },
    lagMs,
    health: () => lagMs() <= lagMaxMs || `no quorum of witnesses for ${Math.round(lagMs() / 1000)} s: ${why()}`,
    problems: () => all.map(({ key, problem }) => ({ witness: key.name, problem: problem() })),
    tick: () => {
      const lag = lagMs();
      if (lag <= lagMaxMs) isLate = false;
      else if (!isLate) {
        isLate = true;
        const detail = `no checkpoint was cosigned by a quorum of witnesses for ${Math.round(lag / 1000)} s: ${why()}`;
        onAnomaly({
          kind: 'unwitnessed',
          about: 'witnesses',
          detail,
          key: `unwitnessed ${behindSince}`,
          toEvidence: true,
        });
      }
    },
    close: () => {
      for (const witness of all) witness.close();
    },
  };
};

/** Resolves when all that are waited for have answered, a moment after a quorum has, or after `waitMs`. */
const enough = (round: Round, offers: Promise<void>[], { quorum, waitMs }: { quorum: number; waitMs: number }) =>
  new Promise<void>((resolve) => {
    let grace: NodeJS.Timeout | undefined;
    const late = setTimeout(() => end(), waitMs);
    const end = () => {
      clearTimeout(late);
      clearTimeout(grace);
      resolve();
    };
    round.heard = () => {
      if (round.signatures.size >= quorum) grace ??= setTimeout(end, graceMs);
    };
    Promise.all(offers).then(end, end);
  });

export const withSignatures = (note: string, more: Iterable<NoteSignature>): string => {
  const { text, signatures } = parseNote(note);
  return formatNote({ text, signatures: [...signatures, ...more] });
};
