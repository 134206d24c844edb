import { decodeHash, encodeHash, malformed } from './encoding.ts';

/** No tree of at most 2^63 leaves has a longer inclusion path or, as tlog-witness says, consistency proof. */
const MAX_PROOF_HASHES = 63;

/** Base64 hashes, one a line, a blank line, and the rest verbatim: the end of both tlog-proof and add-checkpoint. */
export function parseProofLines(text: string): { hashes: Uint8Array[]; rest: string } {
  const end = text.startsWith('\n') ? 0 : text.indexOf('\n\n') + 1;
  if (end === 0 && !text.startsWith('\n')) throw malformed('there is no blank line after the hashes');
  const lines = text.slice(0, end).split('\n').slice(0, -1);
  checkCount(lines.length);
  return { hashes: lines.map((line, i) => decodeHash(line, `hash ${i}`)), rest: text.slice(end + 1) };
}

export function formatProofLines(hashes: readonly Uint8Array[], rest: string): string {
  checkCount(hashes.length);
  return `${hashes.map((hash, i) => `${encodeHash(hash, `hash ${i}`)}\n`).join('')}\n${rest}`;
}

function checkCount(count: number): void {
  if (count > MAX_PROOF_HASHES) throw malformed(`a proof has at most ${MAX_PROOF_HASHES} hashes`);
}
