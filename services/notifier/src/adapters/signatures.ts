import type { AlertSettings, SecretSource } from '@agentgate/contracts';
import { createSecretReader } from '@agentgate/runtime';
import { Webhook } from 'standardwebhooks';
import type { Log } from '../ports.ts';
import { Undeliverable } from './undeliverable.ts';

/** The value of header webhook-signature: one signature of each secret that the endpoint has now. */
export type Sign = (endpoint: string, message: { id: string; at: Date; body: string }) => Promise<string>;

const leastBytes = 24;
const mostBytes = 64;
const form = /^whsec_[A-Za-z0-9+/]+={0,2}$/;

/** Strict where the library is lenient: a passphrase that happens to be base64 would be a weak key. */
const webhookOf = (which: string, secret: string): Webhook => {
  const bytes = Buffer.from(secret.slice('whsec_'.length), 'base64').length;
  if (!form.test(secret) || bytes < leastBytes || bytes > mostBytes)
    throw new Undeliverable(`${which} is not whsec_ and ${leastBytes} to ${mostBytes} bytes in base64`);
  return new Webhook(secret);
};

interface SignaturesOptions {
  endpoints: AlertSettings['endpoints'];
  environment: (name: string) => string | undefined;
  log: Pick<Log, 'warn'>;
}

/** Secrets are read anew for each try, so that a rotated one counts at once. Rejects Undeliverable, naming which one and never what was read. */
export const createSignatures = ({ endpoints, environment, log }: SignaturesOptions): Sign => {
  const readers = new Map(
    Object.entries(endpoints).map(([endpoint, { secret, previous_secret: previous }]) => [
      endpoint,
      [reader(endpoint, 'secret', secret), ...(previous ? [reader(endpoint, 'previous_secret', previous)] : [])],
    ]),
  );
  function reader(endpoint: string, key: string, source: SecretSource) {
    const which = `alerts/endpoints/${endpoint}/${key}`;
    const read = createSecretReader({
      environment,
      refused: (problem) => new Undeliverable(`${which} ${problem}`),
      onOpenToOthers: (mode) =>
        log.warn({ secret: which, mode }, 'the file of a secret can be read by others: its mode should be 600'),
    });
    return async () => webhookOf(which, await read(source));
  }
  return async (endpoint, { id, at, body }) => {
    const keys = await Promise.all((readers.get(endpoint) ?? []).map((read) => read()));
    if (keys.length === 0) throw new Undeliverable(`agentgate.yaml names no endpoint ${endpoint}`);
    return keys.map((key) => key.sign(id, at, body)).join(' ');
  };
};
