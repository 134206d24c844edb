import type { AddCheckpoint } from '../witness.ts';

const askMs = 2_000;
const maxBytes = 65_536;

/** A witness over HTTP; `url` is its submission prefix. Redirects are not followed: a witness is where it was configured. */
export const witnessOverHttp = (url: string): AddCheckpoint => {
  const target = `${url.replace(/\/+$/, '')}/add-checkpoint`;
  return async (body) => {
    try {
      const signal = AbortSignal.timeout(askMs);
      const answer = await fetch(target, { method: 'POST', body, redirect: 'error', signal });
      return { status: answer.status, body: await readBounded(answer) };
    } catch (cause) {
      throw new Error(reasonOf(cause), { cause });
    }
  };
};

const readBounded = async (answer: Response): Promise<string> => {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`it answered more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return 'it cannot be reached';
  if (error.name === 'TimeoutError') return `it did not answer within ${askMs} ms`;
  // What fetch throws says "fetch failed"; the reason is its cause.
  return error.cause instanceof Error ? `it cannot be reached: ${error.cause.message}` : error.message;
};
