import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, randomUUID, sign } from 'node:crypto';
import { agentPermissions } from '@agentgate/contracts';
import { openHome, type RosterEntry, readRoster, recordAgents } from '@agentgate/ground';

// Thousands of agents, added to a running stack as `agentgate agents add` adds one: a user whose JWT the tenant's account signs,
// and a record. Only the signing is done here, because that of the NATS libraries takes 40 ms a user.

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** First bytes of a user's public key, and of a seed. */
const prefixes = { user: [20 << 3], seed: [(18 << 3) | ((20 << 3) >> 5), ((20 << 3) & 31) << 3] };
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** CRC-16/XMODEM, which ends every NATS key. */
const checksum = (bytes: Uint8Array): number => {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
};
const base32 = (bytes: Uint8Array): string => {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{1,5}/g) ?? []).map((five) => alphabet[Number.parseInt(five.padEnd(5, '0'), 2)]).join('');
};
const fromBase32 = (text: string): Buffer => {
  const bits = [...text].map((sign) => alphabet.indexOf(sign).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((eight) => Number.parseInt(eight, 2)));
};
const encodeKey = (prefix: readonly number[], key: Uint8Array): string => {
  const bytes = Buffer.from([...prefix, ...key]);
  const crc = checksum(bytes);
  return base32(Buffer.from([...bytes, crc & 0xff, crc >> 8]));
};

const privateKey = (raw: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.concat([pkcs8, raw]), format: 'der', type: 'pkcs8' });
const publicBytes = (key: KeyObject): Buffer =>
  Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url');
const json64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** An account that signs users. */
const createSigner = (accountSeed: string) => {
  const raw = fromBase32(accountSeed);
  const key = privateKey(raw.subarray(2, 34));
  const account = encodeKey([0], publicBytes(key));
  return (name: string): { user: string; creds: string } => {
    const seed = randomBytes(32);
    const user = encodeKey(prefixes.user, publicBytes(privateKey(seed)));
    const { pub, sub } = agentPermissions(name);
    const nats = {
      pub: { allow: pub },
      sub: { allow: sub },
      subs: -1,
      data: -1,
      payload: -1,
      type: 'user',
      version: 2,
    };
    const claims = { jti: randomUUID(), iat: Math.floor(Date.now() / 1000), iss: account, name, sub: user, nats };
    const signed = `${json64({ typ: 'JWT', alg: 'ed25519-nkey' })}.${json64(claims)}`;
    const jwt = `${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`;
    const creds = [
      '-----BEGIN NATS USER JWT-----',
      jwt,
      '------END NATS USER JWT------',
      '',
      '-----BEGIN USER NKEY SEED-----',
      encodeKey(prefixes.seed, seed),
      '------END USER NKEY SEED------',
      '',
    ].join('\n');
    return { user, creds };
  };
};

export interface Recruits {
  name: string;
  labels: string[];
}

/** Adds agents of the default tenant; resolves with the text of each one's credentials. */
export const recruit = async (
  stack: { home: string; natsUrl: string },
  recruits: readonly Recruits[],
): Promise<Map<string, string>> => {
  const seeds = openHome(stack.home);
  const mint = createSigner(seeds.tenant('default'));
  const creds = new Map<string, string>();
  const added = recruits.map(({ name, labels }): RosterEntry => {
    const minted = mint(name);
    creds.set(name, minted.creds);
    return { tenant: 'default', name, labels, user: minted.user, from: 'command' };
  });
  const roster = readRoster(stack.home);
  await recordAgents({ natsUrl: stack.natsUrl, seeds, roster: { ...roster, agents: [...roster.agents, ...added] } });
  return creds;
};
