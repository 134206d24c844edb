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
}
