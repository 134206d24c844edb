import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKeyRing, generateSigningKey, openBatch } from '@agentgate/evidence';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { layKeyEvents } from '../src/key-events.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agentgate-keys-'));
  file = join(folder, 'key-events.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true }));

const deployment = generateSigningKey();
const keyOf = (service: string) => {
  const { keyid, publicKey: key } = generateSigningKey();
  return { service, keyid, key };
};
const lay = (trusted: ReturnType<typeof keyOf>[], by = deployment) =>
  layKeyEvents(file, { deployment: by, trusted, now: () => 1_800_000_000_000 });
const keys = createKeyRing([{ signer: 'agentgate/deployment/', publicKey: deployment.publicKey }]);
/** What the lines say, each verified as the log's verifiers do. */
const told = () =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const opened = openBatch(line, keys);
      if (!opened.ok) throw new Error(opened.reason);
      return opened.entries.map(({ event }) => [event.type.split('.')[2], event.data.service, event.data.key]);
    });

test('says of the deployment first and then of each service whose key it is, sealed, and nothing twice', () => {
  const [ingress, policy] = [keyOf('ingress'), keyOf('policy')];
  lay([ingress, policy]);
  lay([ingress, policy]);
  expect(told()).toEqual([
    [
      ['added', 'deployment', deployment.publicKey],
      ['added', 'ingress', ingress.key],
      ['added', 'policy', policy.key],
    ],
  ]);
});

test('says what changed when a service has another key', () => {
  const [before, after] = [keyOf('ingress'), keyOf('ingress')];
  lay([before]);
  lay([after]);
  expect(told()[1]).toEqual([
    ['added', 'ingress', after.key],
    ['revoked', 'ingress', before.key],
  ]);
});

test('refuses to go on with another deployment key, which no verifier would believe', () => {
  lay([keyOf('ingress')]);
  expect(() => lay([keyOf('ingress')], generateSigningKey())).toThrow('is signed with another deployment key');
});
