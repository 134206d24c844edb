/** The ground cannot be laid or does not hold; `message` says what to do about it and never holds a secret. */
export class GroundError extends Error {
  override readonly name = 'GroundError';
}
