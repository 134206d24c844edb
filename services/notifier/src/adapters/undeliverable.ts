/** A try failed; the message is for operators, and holds neither a secret nor more of a URL than its host. */
export class Undeliverable extends Error {
  override readonly name = 'Undeliverable';
}
