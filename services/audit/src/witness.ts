import {
  formatAddCheckpoint,
  type NoteKey,
  type NoteSignature,
  parseNote,
  parseSignatureLines,
  verifyCosignature,
} from '@agentgate/evidence';
import type { SignedCheckpoint } from './cosigning.ts';
import type { LogProofs } from './log-proofs.ts';

/** How a witness is reached (C2SP tlog-witness, `add-checkpoint`). Rejects after its deadline. */
export type AddCheckpoint = (body: string) => Promise<{ status: number; body: string }>;

export interface WitnessOptions {
  key: NoteKey;
  add: AddCheckpoint;
  proofs: Pick<LogProofs, 'consistency'>;
  /** It signed this checkpoint; verified. */
  onCosigned: (checkpoint: SignedCheckpoint, signature: NoteSignature) => void;
  /** It was shown another history of this log than ours. */
  onFork: (what: string) => void;
  firstPauseMs?: number;
}

/** One witness, asked about one checkpoint at a time: when it has answered, about the newest. */
export interface Witness {
  readonly key: NoteKey;
  /** Resolves once it answered or failed about this checkpoint or a newer one. */
  offer(checkpoint: SignedCheckpoint): Promise<void>;
  /** Why it did not sign the last time that it was asked. */
  problem(): string | undefined;
  close(): void;
}

/** It may say first where it stands, and have moved when it is asked again: others may ask it, too. */
const attempts = 3;
const longestPauseMs = 10_000;

export const createWitness = (options: WitnessOptions): Witness => {
  const { key, add, proofs, onCosigned, onFork, firstPauseMs = 250 } = options;
  /** What it signed last, as far as we know. */
  let known = 0;
  let newest: { checkpoint: SignedCheckpoint; done: () => void; answered: Promise<void> } | undefined;
  let running = false;
  let problem: string | undefined;
  let failures = 0;
  let wake = () => {};
  let closed = false;

  /** Why it is not to be believed that ours is the only history. */
  const fork = (what: string) => {
    onFork(what);
    return new Error(what);
  };
  const cosignatureOf = (body: string, { note }: SignedCheckpoint): NoteSignature => {
    const signature = parseSignatureLines(body).find(({ name, id }) => name === key.name && id === key.id);
    if (!signature) throw new Error('it answered without a cosignature of its own');
    const verdict = verifyCosignature(parseNote(note).text, { signature, witness: key });
    if (!verdict.ok) throw new Error(verdict.reason);
    return signature;
  };
  const ask = async (checkpoint: SignedCheckpoint): Promise<NoteSignature> => {
    const { size, note } = checkpoint;
    for (let attempt = 1; attempt <= attempts; attempt++) {
      const oldSize = known;
      const proof = await proofs.consistency(oldSize, size);
      const { status, body } = await add(formatAddCheckpoint({ oldSize, proof, checkpoint: note }));
      if (status === 200) {
        const signature = cosignatureOf(body, checkpoint);
        known = size;
        return signature;
      }
      if (status === 422) throw fork(`it has seen ${oldSize} entries with which our ${size} do not begin`);
      if (status !== 409) throw new Error(`it answered ${status}: ${body.trim().slice(0, 256)}`);
      const at = sizeIn(body);
      if (at > size) throw fork(`it has seen ${at} entries, and there are ${size}`);
      if (at === size && oldSize === size) throw fork(`it has seen another tree of ${size} entries`);
      known = at;
    }
    throw new Error(`it was asked ${attempts} times, and each time it stood elsewhere`);
  };

  const run = async () => {
    running = true;
    for (let asked: typeof newest; newest && newest !== asked && !closed; ) {
      asked = newest;
      try {
        const signature = await ask(asked.checkpoint);
        problem = undefined;
        failures = 0;
        onCosigned(asked.checkpoint, signature);
        asked.done();
      } catch (error) {
        problem = error instanceof Error ? error.message : String(error);
        asked.done();
        await pause(Math.min(longestPauseMs, firstPauseMs * 2 ** failures++));
        asked = undefined;
      }
    }
    running = false;
  };
  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  return {
    key,
    offer: (checkpoint) => {
      const { promise: answered, resolve: done } = Promise.withResolvers<void>();
      // Whoever waits for the one before it hears when there is an answer about this one.
      const before = newest;
      if (before) answered.then(before.done, before.done);
      newest = { checkpoint, done, answered };
      if (!running) void run();
      return answered;
    },
    problem: () => problem,
    close: () => {
      closed = true;
      newest?.done();
      wake();
    },
  };
};

const sizeIn = (body: string): number => {
  const size = /^(?:0|[1-9][0-9]{0,15})\n$/.test(body) ? Number(body) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw new Error('it answered 409 without a size');
  return size;
};
