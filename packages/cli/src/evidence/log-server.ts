import type { ReadFile } from '@agentgate/evidence';
import { CliError } from '../context.ts';

export interface LogServerOptions {
  /** For one file, its whole body included. */
  timeoutMs?: number;
  /** Between two tries at a file whose server was not able to answer. */
  retryMs?: number;
}

const TRIES = 3;

/**
 * Reads a log's files from a web server that may be anybody's: no redirect is followed, no body is read beyond its
 * bound, and no answer is waited for beyond the timeout. Throws CliError where something cannot be read.
 */
export const openLogServer = (url: URL, { timeoutMs = 30_000, retryMs = 500 }: LogServerOptions = {}): ReadFile => {
  const base = new URL(url);
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  const readOnce = async (path: string, maxBytes: number): Promise<Uint8Array | undefined | Unable> => {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      // What is compressed on the way can be a thousand times as large: the bound holds for what arrives.
      const headers = { 'accept-encoding': 'identity' };
      const response = await fetch(new URL(path, base), { redirect: 'error', headers, signal });
      if (response.ok) return await readBody(response, maxBytes);
      await response.body?.cancel();
      if (response.status === 404 || response.status === 410) return undefined;
      return { why: `${base.origin} answered ${response.status}`, mayPass: response.status >= 500 };
    } catch (error) {
      if (signal.aborted) return { why: `${base.origin} did not finish within ${timeoutMs / 1000} s`, mayPass: false };
      return { why: reasonOf(error), mayPass: true };
    }
  };
  return async (path, maxBytes) => {
    for (let tries = 1; ; tries++) {
      const got = await readOnce(path, maxBytes);
      if (got === undefined || got instanceof Uint8Array) return got;
      if (!got.mayPass || tries === TRIES) throw new CliError(`${path} cannot be read: ${got.why}`);
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  };
};

interface Unable {
  why: string;
  /** Whether another try may go better. */
  mayPass: boolean;
}

const readBody = async ({ body }: Response, maxBytes: number): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop cancels what has not arrived.
  for await (const chunk of body ?? []) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > maxBytes) break;
  }
  return Buffer.concat(chunks, Math.min(length, maxBytes + 1));
};

/** fetch says only "fetch failed", and the reason in its cause. */
const reasonOf = (error: unknown): string => {
  const cause = (error as Error).cause;
  return cause instanceof Error ? cause.message : (error as Error).message;
};
