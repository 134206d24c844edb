import type { CredentialOf, SecretSource } from '@agentgate/contracts';
import { z } from 'zod';
import { type Minted, type Parts, type Provider, unavailable } from '../provider.ts';
import { createVaultClient, refusedWith, type VaultAnswer } from './vault-client.ts';
import { keepTokenAlive } from './vault-token.ts';

export interface VaultProviderOptions {
  credential: string;
  config: CredentialOf<'vault'>;
  read: (source: SecretSource) => Promise<string>;
  now: () => number;
  log: { warn(fields: object, message: string): void };
}

export interface VaultProvider extends Provider {
  /** Ends every lease below a prefix, whoever asked for it. Needs `sudo` there. Again where it rejects: what was ended stays so. */
  revokePrefix(prefix: string): Promise<void>;
}

const leaseId = z.string().min(1).max(1024);
const withLease = z.object({ lease_id: leaseId });
/** Of a secret that was there before, such as one of a KV engine. */
const leaseless = z.object({ lease_id: z.literal('') });
const dynamicSecret = z.object({
  lease_duration: z.int().min(1),
  data: z.record(z.string(), z.unknown()),
});
const lookedUp = z.object({ data: z.object({ id: leaseId, ttl: z.int() }) });
const renewed = z.object({ lease_id: leaseId, lease_duration: z.int().min(0) });
const refusal = z.object({ errors: z.array(z.string()) });
const handleForm = z.strictObject({ lease_id: leaseId });

/** Shown as they are: who one is to a database is no secret. */
const shown = new Set(['username', 'user']);
const maxRemembered = 10_000;

/**
 * A dynamic secret of Vault or OpenBao (https://developer.hashicorp.com/vault/api-docs/system/leases). Vault makes up the lease's name,
 * so a lease whose answer got lost cannot be found again: others' leases share its path. See `revoke`.
 */
export const createVaultProvider = ({ credential, config, read, now, log }: VaultProviderOptions): VaultProvider => {
  const client = createVaultClient({ credential, config, read });
  const ownToken = keepTokenAlive({ credential, client, log });
  const withoutLease = rememberPermits();
  const otherForm = () => unavailable(credential, 'got an answer of another form from Vault');

  const leaseOf = (handle: string): string => {
    const parsed = handleForm.safeParse(parsedJson(handle));
    if (!parsed.success) throw unavailable(credential, 'has a lease whose handle is not one');
    return parsed.data.lease_id;
  };

  const end = async (lease_id: string) => {
    const answer = await client.ask('PUT', 'sys/leases/revoke', { lease_id, sync: true });
    // 202 would mean: put in a queue.
    if (answer.status !== 204 && answer.status !== 200 && !isGone(answer)) throw refusedWith(credential, answer.status);
  };

  /** Nobody will ever name this lease again. */
  const giveBack = async (permit: string, lease_id: string) => {
    try {
      await end(lease_id);
      withoutLease.add(permit);
    } catch (error) {
      log.warn({ err: error, credential, lease_id }, 'a lease of Vault that is of no use could not be ended');
    }
  };

  const ask = async (permit: string): Promise<unknown> => {
    try {
      const { status, body } = await client.ask('GET', config.path);
      if (status === 200) return body;
      if (status < 500 || status === 503) withoutLease.add(permit);
      throw refusedWith(credential, status);
    } catch (error) {
      if (client.neverSent(error)) withoutLease.add(permit);
      throw error;
    }
  };

  return {
    kind: 'vault',

    mint: async (order) => {
      const askedAt = now();
      const body = await ask(order.permit);
      const leased = withLease.safeParse(body);
      if (!leased.success) {
        if (leaseless.safeParse(body).success) withoutLease.add(order.permit);
        throw unavailable(credential, 'got no lease from Vault: its path must be of a dynamic secret');
      }
      const { lease_id } = leased.data;
      const made = mintedOf(body, config.field);
      if (typeof made === 'string') {
        await giveBack(order.permit, lease_id);
        throw unavailable(credential, made);
      }
      const { ttlMs, ...minted } = made;
      const expiresAt = Math.min(order.expiresAt, askedAt + ttlMs);
      return { ...minted, handle: JSON.stringify({ lease_id }), expiresAt };
    },

    renew: async (order, handle) => {
      if (handle === undefined) throw unavailable(credential, neverWrittenDown);
      const lease_id = leaseOf(handle);
      const askedAt = now();
      const increment = Math.max(1, Math.ceil((order.expiresAt - askedAt) / 1000));
      const { status, body } = await client.ask('PUT', 'sys/leases/renew', { lease_id, increment });
      if (status !== 200) throw refusedWith(credential, status);
      const parsed = renewed.safeParse(body);
      if (!parsed.success || parsed.data.lease_id !== lease_id) throw otherForm();
      if (askedAt + parsed.data.lease_duration * 1000 < order.expiresAt)
        throw unavailable(credential, 'cannot be renewed for so long: Vault bounds how long its lease may live');
      return undefined;
    },

    /**
     * Without a handle there is nothing to name to Vault. Where it is known that nothing was made, that is success; else it rejects, for a
     * secret may be there until its own ttl at Vault is over, and to say that it was ended would be a lie.
     */
    revoke: async ({ permit, handle }) => {
      if (handle !== undefined) return end(leaseOf(handle));
      if (!withoutLease.has(permit)) throw unavailable(credential, neverWrittenDown);
    },

    probe: async ({ permit, handle }) => {
      if (handle === undefined)
        return withoutLease.has(permit)
          ? { state: 'refused', detail: 'Vault made nothing for this permit' }
          : { state: 'unprovable', detail: 'the name of its lease at Vault was never written down' };
      const lease_id = leaseOf(handle);
      const answer = await client.ask('PUT', 'sys/leases/lookup', { lease_id });
      if (isGone(answer)) return { state: 'refused', detail: 'sys/leases/lookup: Vault has no such lease any more' };
      if (answer.status !== 200) throw refusedWith(credential, answer.status);
      const parsed = lookedUp.safeParse(answer.body);
      if (!parsed.success || parsed.data.data.id !== lease_id) throw otherForm();
      return { state: 'alive', detail: `sys/leases/lookup: Vault has the lease for another ${parsed.data.data.ttl} s` };
    },

    revokePrefix: async (prefix) => {
      const path = `sys/leases/revoke-prefix/${prefix.replace(/\/$/, '')}`;
      const { status } = await client.ask('PUT', path, { sync: true });
      if (status !== 204 && status !== 200) throw refusedWith(credential, status);
    },

    close: () => ownToken.close(),
  };
};

const neverWrittenDown =
  'may have a lease at Vault whose name was never written down: Vault cannot be asked for it; nobody was given the secret, and it ends by itself after its ttl there';

/** The secret, or what is wrong with it. */
const mintedOf = (
  body: unknown,
  field: string,
): (Omit<Minted, 'handle' | 'expiresAt'> & { ttlMs: number }) | string => {
  const parsed = dynamicSecret.safeParse(body);
  if (!parsed.success) return 'got an answer of another form from Vault';
  const { data, lease_duration } = parsed.data;
  const texts = Object.fromEntries(
    Object.entries(data).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1] !== ''),
  );
  const secret = Object.hasOwn(texts, field) ? texts[field] : undefined;
  if (secret === undefined) return `got a secret from Vault that has no field ${field}`;
  const parts: Parts = { ...texts, secret };
  return { parts, hidden: Object.keys(parts).filter((part) => !shown.has(part)), ttlMs: lease_duration * 1000 };
};

/** What Vault says of a lease that it does not have. A bare 404 may come from anywhere, and proves nothing. */
const isGone = ({ status, body }: VaultAnswer): boolean => {
  if (status !== 400 && status !== 404) return false;
  const parsed = refusal.safeParse(body);
  return parsed.success && parsed.data.errors.some((error) => /\b(invalid lease|lease not found)\b/.test(error));
};

/** The permits for which Vault certainly made nothing: the latest ones, while this broker lives. */
const rememberPermits = () => {
  const permits = new Set<string>();
  return {
    has: (permit: string) => permits.has(permit),
    add: (permit: string) => {
      permits.add(permit);
      if (permits.size > maxRemembered) for (const oldest of permits.keys().take(1)) permits.delete(oldest);
    },
  };
};

const parsedJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
