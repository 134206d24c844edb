import { setTimeout as sleep } from 'node:timers/promises';
import { consume, type Delivered } from './consume.ts';
import { readOptions } from './options.ts';

const { to, ...options } = readOptions('URL');
const batch = 500;
const timeoutMs = 30_000;
const maxWaitMs = 60_000;

/** Again and again until it is taken: what is not delivered is not forgotten. Only a refusal for good ends it. */
const post = async (entries: readonly Delivered[]): Promise<void> => {
  for (let waitMs = 500; ; waitMs = Math.min(2 * waitMs, maxWaitMs)) {
    try {
      const response = await fetch(to, {
        method: 'POST',
        // The same events always come under the same key, so a receiver can tell that it has them.
        headers: {
          'content-type': 'application/json',
          'idempotency-key': `${entries[0]?.index}-${entries.at(-1)?.index}`,
        },
        body: JSON.stringify(entries),
        signal: AbortSignal.any([options.signal, AbortSignal.timeout(timeoutMs)]),
      });
      await response.body?.cancel();
      if (response.ok) return;
      const isFinal = response.status < 500 && response.status !== 408 && response.status !== 429;
      if (isFinal) throw new Error(`${to} refuses evidence: ${response.status}`);
      console.error(`${to} answered ${response.status}; trying again`);
    } catch (error) {
      if (options.signal.aborted || (error as Error).message.includes('refuses evidence')) throw error;
      console.error(`${to}: ${(error as Error).message}; trying again`);
    }
    await sleep(waitMs, undefined, { signal: options.signal });
  }
};

await consume({
  ...options,
  deliver: async (entries) => {
    for (let at = 0; at < entries.length; at += batch) await post(entries.slice(at, at + batch));
  },
});
