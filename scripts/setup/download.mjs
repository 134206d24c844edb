// Downloads with a short wait for the first answer, a bound on the size, and a pinned SHA-256.
import { createHash } from 'node:crypto';

const CONNECT_MS = 5_000;
const TRANSFER_MS = 180_000;
const MAX_BYTES = 256 * 1024 * 1024;

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Throws unless the bytes are those that were pinned. Nothing may read or run them before this. */
export const checkDigest = (bytes, pinned, what) => {
  const got = sha256(bytes);
  if (got !== pinned) throw new Error(`${what} has SHA-256 ${got}, but ${pinned} is pinned: refused`);
};

const readBounded = async (response) => {
  const chunks = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new Error(`larger than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

/** The bytes behind `url`, if they have the pinned digest. */
export const download = async (fetch, url, { pinned, connectMs = CONNECT_MS }) => {
  const giveUp = new AbortController();
  let timer = setTimeout(() => giveUp.abort(new Error(`no answer within ${connectMs / 1000} s`)), connectMs);
  try {
    const response = await fetch(url, { signal: giveUp.signal, redirect: 'follow' });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    clearTimeout(timer);
    timer = setTimeout(() => giveUp.abort(new Error(`not complete within ${TRANSFER_MS / 1000} s`)), TRANSFER_MS);
    const bytes = await readBounded(response);
    checkDigest(bytes, pinned, url);
    return bytes;
  } catch (error) {
    // fetch hides the reason in the cause.
    const { cause } = error;
    throw new Error(cause === undefined ? error.message : `cannot connect (${cause.code ?? cause.message})`);
  } finally {
    clearTimeout(timer);
  }
};
