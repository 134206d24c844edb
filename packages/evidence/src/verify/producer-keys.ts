import { orFailure } from '../error.ts';
import type { EvidenceEvent } from '../event.ts';
import { type KeyRing, type VerifyingKey, verifyingKey } from '../keys.ts';

/** By whose word a key is a producer's. */
export interface ProducerTrust {
  /** The keys that are known beforehand: then no other speaks for a producer, whatever the log says. */
  readonly keys?: KeyRing | undefined;
  /** The raw public key, base64url, of the deployment, which records its producers' keys in the log. */
  readonly deploymentKey?: string | undefined;
}

/** `log`: nobody's but the log's own, which began with a deployment's key that nobody here knew. */
export type KeyAuthority = 'given' | 'deployment' | 'log';

export interface ProducerKey {
  readonly keyid: string;
  readonly service: string;
  /** The entry that recorded it, or that revoked it. */
  readonly addedAt: number;
  readonly revokedAt?: number;
}

/** The keys that speak for producers at one place of the log. */
export interface ProducerKeys extends KeyRing {
  readonly authority: KeyAuthority;
  /** To be called before an entry's seal is verified: the first key of a log that nobody vouched for vouches for itself. */
  introduce(event: EvidenceEvent, keyid: string): void;
  /** Takes what a verified entry says of keys; what is wrong with it in words. */
  take(event: EvidenceEvent, index: number): string | undefined;
  revokedAt(keyid: string, signer: string): number | undefined;
  recorded(): ProducerKey[];
}

const ADDED = 'agentgate.key.added.v1';
const REVOKED = 'agentgate.key.revoked.v1';
const DEPLOYMENT = 'deployment';
const SERVICE = /^[a-z0-9][a-z0-9_-]{0,62}$/;
/** Of keys that were ever recorded; a key a second for a day is no deployment. */
const MAX_KEYS = 65_536;

interface Recorded {
  readonly key: VerifyingKey;
  readonly service: string;
  readonly addedAt: number;
  revokedAt?: number;
}

/** Whether an entry's text may say something of keys: a look that spares parsing the others. */
export function mayRecordKey(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes('"agentgate.key.');
}

export function createProducerKeys({ keys, deploymentKey }: ProducerTrust): ProducerKeys {
  const recorded = new Map<string, Recorded>();
  const add = (key: VerifyingKey, service: string, addedAt: number): void =>
    void recorded.set(`${service} ${key.keyid}`, { key, service, addedAt });
  const recordOf = (keyid: string, signer: string): Recorded | undefined =>
    recorded.get(`${serviceOf(signer)} ${keyid}`);
  if (deploymentKey !== undefined) add(verifyingKey(deploymentKey), DEPLOYMENT, -1);
  let knowsDeployment = deploymentKey !== undefined;

  return {
    authority: keys ? 'given' : deploymentKey === undefined ? 'log' : 'deployment',
    find(keyid, signer) {
      const record = recordOf(keyid, signer);
      if (record?.revokedAt !== undefined) return undefined;
      return keys && serviceOf(signer) !== DEPLOYMENT ? keys.find(keyid, signer) : record?.key;
    },
    introduce({ source, type, data }, keyid) {
      if (knowsDeployment || type !== ADDED || serviceOf(source) !== DEPLOYMENT) return;
      const found = keyOf(data);
      if (typeof found === 'string' || found.service !== DEPLOYMENT || found.key.keyid !== keyid) return;
      knowsDeployment = true;
      add(found.key, DEPLOYMENT, -1);
    },
    take({ source, type, data }, index) {
      if (type !== ADDED && type !== REVOKED) return undefined;
      if (serviceOf(source) !== DEPLOYMENT) return `${source} is not the deployment, which alone says whose a key is`;
      const found = keyOf(data);
      if (typeof found === 'string') return found;
      const known = recorded.get(`${found.service} ${found.key.keyid}`);
      if (known && known.key.publicKey !== found.key.publicKey) return `two keys have keyid ${found.key.keyid}`;
      if (!known && recorded.size >= MAX_KEYS) return `more than ${MAX_KEYS} keys are recorded`;
      if (type === REVOKED) {
        if (!known) add(found.key, found.service, index);
        (recorded.get(`${found.service} ${found.key.keyid}`) as Recorded).revokedAt = index;
      } else if (!known || known.addedAt < 0 || known.revokedAt !== undefined) add(found.key, found.service, index);
      return undefined;
    },
    revokedAt: (keyid, signer) => recordOf(keyid, signer)?.revokedAt,
    recorded: () =>
      [...recorded.values()].map(({ key, service, addedAt, revokedAt }) => ({
        keyid: key.keyid,
        service,
        addedAt,
        ...(revokedAt !== undefined && { revokedAt }),
      })),
  };
}

/** `agentgate/<service>/<instance>`; anything else has no service, and so no recorded key. */
function serviceOf(source: string): string | undefined {
  const [product, service, instance, ...rest] = source.split('/');
  return product === 'agentgate' && instance && rest.length === 0 ? service : undefined;
}

function keyOf(data: EvidenceEvent['data']): { key: VerifyingKey; service: string } | string {
  const { service, keyid, key, ...rest } = data;
  if (Object.keys(rest).length > 0) return 'it holds something else than service, keyid and key';
  if (typeof service !== 'string' || !SERVICE.test(service)) return 'its service is no name';
  const read = orFailure(() => verifyingKey(key as string));
  if (!read.ok) return read.reason;
  return read.value.keyid === keyid ? { key: read.value, service } : 'its keyid is not the one of its key';
}
