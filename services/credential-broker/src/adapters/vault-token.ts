import { z } from 'zod';
import { unavailable } from '../provider.ts';
import { refusedWith, type VaultClient } from './vault-client.ts';

interface VaultTokenOptions {
  credential: string;
  client: VaultClient;
  log: { warn(fields: object, message: string): void };
  /** So long after a failure it is tried again. */
  retryMs?: number;
}

const looked = z.object({ data: z.object({ ttl: z.int().min(0), renewable: z.boolean().default(false) }) });
const renewed = z.object({ auth: z.object({ lease_duration: z.int().min(0), renewable: z.boolean() }) });

const soonestMs = 1_000;
/** Often enough for a token that lives for months, and below what a timer can count. */
const latestMs = 60 * 60 * 1000;
/** Half of a life in seconds; 0 is one that does not end. */
const halfOf = (ttl: number): number =>
  ttl === 0 ? latestMs : Math.min(latestMs, Math.max(soonestMs, (ttl * 1000) / 2));

type Step = () => Promise<{ afterMs: number; next: Step }>;

/** Renews the broker's own token at half of its life, while Vault lets it. A token that was replaced is looked at anew. */
export const keepTokenAlive = ({ credential, client, log, retryMs = 5_000 }: VaultTokenOptions) => {
  let closed = false;
  let timer: NodeJS.Timeout | undefined;

  const read = async <T>(method: 'GET' | 'POST', path: string, form: z.ZodType<T>): Promise<T> => {
    const { status, body } = await client.ask(method, path, method === 'POST' ? {} : undefined);
    if (status !== 200) throw refusedWith(credential, status);
    const parsed = form.safeParse(body);
    if (!parsed.success) throw unavailable(credential, 'got an answer of another form from Vault');
    return parsed.data;
  };

  const look: Step = async () => {
    const { data } = await read('GET', 'auth/token/lookup-self', looked);
    return { afterMs: halfOf(data.ttl), next: data.renewable && data.ttl > 0 ? renew : look };
  };

  const renew: Step = async () => {
    const { auth } = await read('POST', 'auth/token/renew-self', renewed);
    return { afterMs: halfOf(auth.lease_duration), next: auth.renewable ? renew : look };
  };

  const later = (afterMs: number, step: Step) => {
    if (closed) return;
    timer = setTimeout(() => {
      running = round(step);
    }, afterMs);
    timer.unref();
  };

  const round = async (step: Step) => {
    try {
      const { afterMs, next } = await step();
      later(afterMs, next);
    } catch (error) {
      log.warn({ err: error, credential }, "the broker's own token for Vault could not be renewed; it is tried again");
      later(retryMs, look);
    }
  };

  let running = round(look);
  return {
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await running;
    },
  };
};
