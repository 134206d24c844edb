import type { Problem } from '@agentgate/contracts';

/**
 * What a condition says of an argument. `unclear` is neither yes nor no: programs read such a value differently, so an
 * allow must not rest on it and a deny must not be stepped around with it. `why` never repeats the argument.
 */
export type Verdict = { state: 'holds' } | { state: 'fails' | 'unclear'; why: string };

export const holds: Verdict = { state: 'holds' };
export const fails = (why: string): Verdict => ({ state: 'fails', why });
export const unclear = (why: string): Verdict => ({ state: 'unclear', why });

/** A configuration that could not be enforced safely; the message says what to write instead where there is such a thing. */
export class UnsafeCondition extends Error {
  override readonly name = 'UnsafeCondition';
  /** The same for whoever has the file: where it stands below what was prepared. */
  readonly problem: Problem;
  constructor(message: string, { cause, problem }: { cause?: unknown; problem?: Problem } = {}) {
    super(message, { cause });
    this.problem = problem ?? { path: [], message };
  }
}

/** Prepares what stands at `key`. `tell` puts a refusal into words that name it. */
export const at = <T>(key: string, prepare: () => T, tell = (why: string): string => why): T => {
  try {
    return prepare();
  } catch (cause) {
    if (!(cause instanceof UnsafeCondition)) throw cause;
    const { path, message } = cause.problem;
    throw new UnsafeCondition(tell(cause.message), { cause, problem: { path: [key, ...path], message } });
  }
};
