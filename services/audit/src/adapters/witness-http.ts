import type { ClientRequest, IncomingMessage } from 'node:http';
import { http, https } from '@agentgate/runtime';
import type { AddCheckpoint } from '../witness.ts';

const askMs = 2_000;
const maxBytes = 65_536;
const tooMuch = `it answered more than ${maxBytes} bytes`;

/** A witness over HTTP; `url` is its submission prefix. Not by fetch, which would load undici for one POST a second. Redirects are not followed: a witness is where it was configured. */
export const witnessOverHttp = (url: string): AddCheckpoint => {
  const target = new URL(`${url.replace(/\/+$/, '')}/add-checkpoint`);
  return async (body) => {
    const signal = AbortSignal.timeout(askMs);
    try {
      const answer = await post(target, body, signal);
      return { status: answer.statusCode ?? 0, body: await readBounded(answer) };
    } catch (cause) {
      throw new Error(signal.aborted ? `it did not answer within ${askMs} ms` : reasonOf(cause), { cause });
    }
  };
};

const post = (target: URL, body: string, signal: AbortSignal): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const { request } = target.protocol === 'https:' ? https : http;
    const headers = { 'content-type': 'text/plain;charset=UTF-8' };
    // A connection of its own: one kept open may have been closed by the witness as we write.
    const asked: ClientRequest = request(target, { method: 'POST', headers, signal, agent: false });
    asked.on('error', reject).on('response', resolve).end(body);
  });

const readBounded = async (answer: IncomingMessage): Promise<string> => {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(tooMuch);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return 'it cannot be reached';
  return error.message === tooMuch ? tooMuch : `it cannot be reached: ${error.message}`;
};
