/** Why this package refused to produce something. Verifiers never throw these: they return a failure as a value. */
export type EvidenceErrorCode = 'NOT_CANONICAL' | 'TOO_LARGE' | 'MALFORMED' | 'BAD_KEY';

export class EvidenceError extends Error {
  readonly code: EvidenceErrorCode;

  constructor(code: EvidenceErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'EvidenceError';
    this.code = code;
  }
}

/** What a verifier answers when it says no. */
export interface Failure<Code extends string> {
  readonly ok: false;
  readonly code: Code;
  readonly reason: string;
}

export function failure<Code extends string>(code: Code, reason: string): Failure<Code> {
  return { ok: false, code, reason };
}

/** For verifiers, which never throw: what a parser of this package refused becomes a failure. Other errors pass. */
export function orFailure<Value>(
  parse: () => Value,
): { readonly ok: true; readonly value: Value } | Failure<'MALFORMED'> {
  try {
    return { ok: true, value: parse() };
  } catch (error) {
    if (error instanceof EvidenceError) return failure('MALFORMED', error.message);
    throw error;
  }
}
