import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Credential, SecretSource } from '@agentgate/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSecretReader, warnOfMissingFiles } from '../../src/adapters/secret-source.ts';
import { createStaticProvider } from '../../src/adapters/static-provider.ts';
import { leaseOf, orderOf } from '../orders.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'broker-static-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const bench = (from: SecretSource, environment: Record<string, string> = {}) => {
  const logged: unknown[] = [];
  const read = createSecretReader({
    credential: 'crm-key',
    environment: (name) => environment[name],
    log: { warn: (fields, message) => void logged.push({ ...fields, message }) },
  });
  const provider = createStaticProvider({ from, read });
  return { mint: async () => (await provider.mint(orderOf())).parts.secret, provider, logged };
};
const file = (name: string, content: string, mode = 0o600) => {
  const path = join(dir, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return { file: path };
};
const unavailable = (message: RegExp) =>
  expect.objectContaining({ code: 'CREDENTIAL_UNAVAILABLE', message: expect.stringMatching(message) });

test('gives the file without its line end, read anew at each mint', async () => {
  const { mint, logged } = bench(file('key', 's3cret value\r\n\n'));
  expect(await mint()).toBe('s3cret value');
  file('key', 'rotated\n');
  expect(await mint()).toBe('rotated');
  expect(logged).toEqual([]);
});

test('gives the environment variable, and what systemd handed over', async () => {
  expect(await bench({ env: 'CRM_KEY' }, { CRM_KEY: 'from-env' }).mint()).toBe('from-env');
  file('crm', 'from-systemd');
  expect(await bench({ systemd: 'crm' }, { CREDENTIALS_DIRECTORY: dir }).mint()).toBe('from-systemd');
  await expect(bench({ systemd: 'crm' }).mint()).rejects.toEqual(unavailable(/systemd, which handed nothing over/));
});

test('warns once, naming the credential, when others may read the file', async () => {
  const { mint, logged } = bench(file('open', 's3cret', 0o644));
  await mint();
  await mint();
  expect(logged).toEqual([
    { credential: 'crm-key', mode: '644', message: expect.stringContaining('mode should be 600') },
  ]);
});

test('refuses what is missing, empty, too large or no file, naming the credential and nothing that was read', async () => {
  mkdirSync(join(dir, 'folder'));
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  const cases: [SecretSource, RegExp][] = [
    [{ file: join(dir, 'absent') }, /^credential crm-key has a file that cannot be read$/],
    [{ file: join(dir, 'folder') }, /^credential crm-key names something that is not a file$/],
    [{ file: join(dir, 'pipe') }, /^credential crm-key names something that is not a file$/],
    [file('empty', '\n'), /^credential crm-key is empty or not set$/],
    [file('large', 'x'.repeat(8193)), /^credential crm-key has a file of more than 8192 bytes$/],
    [{ env: 'ABSENT' }, /^credential crm-key is empty or not set$/],
  ];
  for (const [source, message] of cases) await expect(bench(source).mint()).rejects.toEqual(unavailable(message));
  await expect(bench({ env: 'LARGE' }, { LARGE: 'x'.repeat(8193) }).mint()).rejects.toEqual(
    unavailable(/larger than 8192 bytes/),
  );
});

test('does not pretend that it can be taken back', async () => {
  const { provider } = bench({ env: 'X' });
  expect(await provider.probe(leaseOf(orderOf()))).toMatchObject({ state: 'unprovable' });
});

test('warns of each file that is not there, naming credential and file, and of nothing else', async () => {
  const logged: object[] = [];
  const log = { warn: (fields: object, message: string) => void logged.push({ ...fields, message }) };
  const from = (source: SecretSource): Credential => ({ provider: 'static', from: source, max_leases: 1 });
  const absent = join(dir, 'absent.key');
  const beneath = join(file('plain', 's3cret').file, 'key');
  await warnOfMissingFiles(
    {
      'crm-key': from({ file: absent }),
      there: from(file('there', 's3cret')),
      elsewhere: from({ env: 'NOT_SET' }),
      // One file that is named twice is one line.
      aws: {
        provider: 'aws-sts',
        region: 'eu-west-1',
        role_arn: 'arn:aws:iam::123456789012:role/x',
        access: { key_id: { file: beneath }, secret_key: { file: beneath } },
        ttl_s: 900,
        reuse: 'call',
        max_leases: 1,
      },
    },
    log,
  );
  const message = (credential: string, path: string) =>
    `credential ${credential}: its file ${path} does not exist; calls that need it are refused until it does`;
  expect(logged).toEqual([
    { credential: 'crm-key', file: absent, message: message('crm-key', absent) },
    { credential: 'aws', file: beneath, message: message('aws', beneath) },
  ]);
});
