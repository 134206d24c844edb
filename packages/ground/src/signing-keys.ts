import { join } from 'node:path';
import { deploymentProducer, type ServiceName, services } from '@agentgate/contracts';
import { generateSigningKey, noteVerifierKey, type SigningKey, signingKeyFromSeed } from '@agentgate/evidence';
import { GroundError } from './error.ts';
import { layKeyEvents } from './key-events.ts';
import { readIfThere, readOrMake, writePrivate } from './private-file.ts';

export const logOrigin = 'agentgate.local/default';

export interface SigningKeys {
  key(service: ServiceName): SigningKey;
  keyFile(service: ServiceName): string;
  trustFile: string;
  /** What the log is told of these keys. */
  keyEventsFile: string;
  /** The key that signs the log's checkpoints, and what verifies it. */
  logKeyFile: string;
  logVerifierKey: string;
  /** The keys that sign minted JWT credentials. */
  jwtKeyFile: string;
  /** The credential-broker's own key: what it must be able to work out again after a crash follows from it. */
  brokerKeyFile: string;
  /** The key of this deployment's own policy author, which no service reads. */
  authorKeyFile: string;
  /** Whose policies count: public keys of authors. Made once for the own author; whoever runs the gate may change it. */
  authorsFile: string;
}

const keyIn = (file: string): SigningKey => signingKeyFromSeed(readOrMake(file, () => generateSigningKey().seed));

/** The services' signing keys, made once, and trust.json: whose signature counts for what. */
export const layKeys = (home: string, now: () => number): SigningKeys => {
  const fileOf = (service: string) => join(home, 'keys', 'sign', `${service}.seed`);
  const keys = Object.fromEntries(services.map((service) => [service, keyIn(fileOf(service))])) as Record<
    ServiceName,
    SigningKey
  >;
  const trustFile = join(home, 'keys', 'trust.json');
  const deployment = keyIn(fileOf(deploymentProducer));
  const trusted = services.map((service) => {
    const { keyid, publicKey: key } = keys[service];
    return { service, keyid, key };
  });
  const trust = [...trusted, { service: deploymentProducer, keyid: deployment.keyid, key: deployment.publicKey }].map(
    ({ key: public_key, ...of }) => ({ ...of, public_key }),
  );
  writePrivate(trustFile, `${JSON.stringify({ v: 1, keys: trust }, null, 2)}\n`);
  const keyEventsFile = join(home, 'keys', 'key-events.jsonl');
  layKeyEvents(keyEventsFile, { deployment, trusted, now });
  const logKeyFile = join(home, 'keys', 'log.seed');
  const jwtKeyFile = join(home, 'keys', 'jwt.seed');
  readOrMake(jwtKeyFile, () => generateSigningKey().seed);
  const brokerKeyFile = join(home, 'keys', 'broker.seed');
  keyIn(brokerKeyFile);
  const authorKeyFile = join(home, 'keys', 'policy-author.seed');
  const authorsFile = join(home, 'keys', 'policy-authors.json');
  if (readIfThere(authorsFile) === undefined) {
    const { keyid, publicKey } = keyIn(authorKeyFile);
    writePrivate(authorsFile, `${JSON.stringify({ v: 1, keys: [{ keyid, public_key: publicKey }] }, null, 2)}\n`);
  }
  return {
    key: (service) => keys[service],
    keyFile: fileOf,
    trustFile,
    keyEventsFile,
    logKeyFile,
    logVerifierKey: noteVerifierKey(logOrigin, keyIn(logKeyFile).publicKey),
    jwtKeyFile,
    brokerKeyFile,
    authorKeyFile,
    authorsFile,
  };
};

/** After a key began to sign, those of before it are needed so long: no token lives longer than an hour, and clocks differ. */
const keptMs = 2 * 3_600_000;

/**
 * Adds a key to the file of those that sign JWT credentials; it signs from `leadMs` on, and until then verifiers learn of it. Keys whose
 * last token is long over are left out. A running broker reads the file by itself. Throws GroundError where a key is waiting already.
 */
export const rotateJwtKey = (file: string, leadMs: number, now: number): { from: string } => {
  const lines = (readIfThere(file) ?? '').split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0) throw new GroundError(`${file} holds no key: start the stack once`);
  const fromOf = (line: string) => Date.parse(line.split(/\s+/)[1] ?? '') || 0;
  if (lines.some((line) => fromOf(line) > now)) throw new GroundError('a new key is waiting to sign already');
  const needed = lines.filter((_, i) => {
    const next = lines[i + 1];
    return next === undefined || now < fromOf(next) + keptMs;
  });
  const from = new Date(now + leadMs).toISOString();
  writePrivate(file, `${[...needed, `${generateSigningKey().seed} ${from}`].join('\n')}\n`);
  return { from };
};
