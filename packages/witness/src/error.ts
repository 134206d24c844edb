/** The witness cannot start or be laid as asked; the message is one line for people. */
export class WitnessError extends Error {
  override readonly name = 'WitnessError';
}
