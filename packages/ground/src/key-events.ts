import { randomBytes } from 'node:crypto';
import { deploymentProducer, type EventData, eventSource, eventType } from '@agentgate/contracts';
import { createChain, encodeBatch, type SigningKey } from '@agentgate/evidence';
import { z } from 'zod';
import { GroundError } from './error.ts';
import { readIfThere, writePrivate } from './private-file.ts';

type KeyEvent = EventData<'key.added'>;

const batch = z.object({ keyid: z.string(), events: z.array(z.string()) });
const event = z.object({
  type: z.string(),
  data: z.object({ service: z.string(), keyid: z.string(), key: z.string() }),
});
const added = eventType('key.added');
const revoked = eventType('key.revoked');

const nameOf = ({ service, key }: KeyEvent) => `${service} ${key}`;

/** The keys that sign after these lines. */
const keysIn = (lines: readonly string[]): Map<string, KeyEvent> => {
  const keys = new Map<string, KeyEvent>();
  for (const text of lines.flatMap((line) => batch.parse(JSON.parse(line)).events)) {
    const { type, data } = event.parse(JSON.parse(text));
    if (type === added) keys.set(nameOf(data), data);
    if (type === revoked) keys.delete(nameOf(data));
  }
  return keys;
};

/**
 * What the log is told of the keys that sign events: a sealed batch a line, one for each time that trust changed, by the deployment's
 * key, which vouches for itself first. Audit, which appends them, does not hold that key.
 */
export const layKeyEvents = (
  file: string,
  { deployment, trusted, now }: { deployment: SigningKey; trusted: readonly KeyEvent[]; now: () => number },
): void => {
  const lines = (readIfThere(file) ?? '').split('\n').filter((line) => line !== '');
  const signer = lines[0] === undefined ? deployment.keyid : batch.parse(JSON.parse(lines[0])).keyid;
  if (signer !== deployment.keyid)
    throw new GroundError(`${file} is signed with another deployment key than the one in keys/sign/deployment.seed`);
  const known = keysIn(lines);
  const own = { service: deploymentProducer, keyid: deployment.keyid, key: deployment.publicKey };
  const wanted = new Map([own, ...trusted].map((key) => [nameOf(key), key]));
  const changes = [
    ...[...wanted.values()].filter((key) => !known.has(nameOf(key))).map((data) => ({ type: added, data })),
    ...[...known.values()].filter((key) => !wanted.has(nameOf(key))).map((data) => ({ type: revoked, data })),
  ];
  if (changes.length === 0) return;
  const id = () => randomBytes(16).toString('hex');
  const chain = createChain({ source: eventSource(deploymentProducer, 'ground'), epoch: id() });
  const time = new Date(now()).toISOString();
  const items = changes.map(({ type, data }) =>
    chain.next({ id: `evt_${id()}`, type, subject: data.service, time, data }),
  );
  writePrivate(file, `${[...lines, encodeBatch(items, deployment)].join('\n')}\n`);
};
