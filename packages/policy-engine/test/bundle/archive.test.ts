import { gunzipSync, gzipSync } from 'node:zlib';
import { packTar } from 'modern-tar';
import { describe, expect, test } from 'vitest';
import { packBundle, unpackBundle } from '../../src/bundle/archive.ts';
import { goodFiles } from './bundles.ts';

type Entry = Parameters<typeof packTar>[0][number];

const archiveOf = async (entries: Entry[]) => gzipSync(await packTar(entries));
const file = (name: string, body = 'x'): Entry => ({ header: { name, size: body.length, type: 'file' }, body });
const refused = (message: string | RegExp) => ({
  code: 'POLICY_INVALID',
  message: typeof message === 'string' ? message : expect.stringMatching(message),
});
const named = (name: string) =>
  `bundle: holds ${JSON.stringify(name)}; it may hold policy.wasm, data.json, tests.json, .manifest, .signatures.json and nothing else`;

test('what was packed comes back, and the same files give the same bytes', async () => {
  const files = goodFiles();
  const archive = await packBundle(files);
  expect(await unpackBundle(archive)).toEqual(files);
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  expect(Buffer.from(await packBundle(files)).equals(archive)).toBe(true);
});

describe('refuses a path that is not a file of a bundle', () => {
  test.each([
    '../policy.wasm',
    '/../data.json',
    '/etc/passwd',
    'sub/data.json',
    './data.json',
    '//data.json',
    'data.json/',
    'DATA.JSON',
    '..\\data.json',
    'policy.rego',
    'data.json\u0000.txt'.slice(0, 9).concat('.txt'),
  ])('%s', async (name) => {
    await expect(unpackBundle(await archiveOf([file(name)]))).rejects.toMatchObject(refused(named(name)));
  });
});

test.each(['symlink', 'link'] as const)('refuses a %s under the name of a file', async (type) => {
  const archive = await archiveOf([{ header: { name: 'data.json', size: 0, type, linkname: '/etc/passwd' } }]);
  await expect(unpackBundle(archive)).rejects.toMatchObject(
    refused(`data.json: is a ${type}; a bundle holds files only`),
  );
});

test('refuses a path that a PAX header puts in the place of an innocent one', async () => {
  const archive = await archiveOf([
    { header: { name: 'data.json', size: 1, type: 'file', pax: { path: '../../evil' } }, body: 'x' },
  ]);
  await expect(unpackBundle(archive)).rejects.toMatchObject(refused(named('../../evil')));
});

test('refuses two files of one name, also in two spellings', async () => {
  const archive = await archiveOf([file('/data.json'), file('data.json')]);
  await expect(unpackBundle(archive)).rejects.toMatchObject(refused('data.json: stands in the archive twice'));
});

test('refuses a bomb before it is unpacked', async () => {
  const bomb = gzipSync(Buffer.alloc(96 * 1024 * 1024), { level: 1 });
  expect(bomb.byteLength).toBeLessThan(1024 * 1024);
  const before = process.memoryUsage().arrayBuffers;
  await expect(unpackBundle(bomb)).rejects.toMatchObject(refused(/^bundle: unpacks to more than \d+ bytes$/));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(48 * 1024 * 1024);
});

test('refuses a file that is larger than its kind may be', async () => {
  const archive = await archiveOf([file('.manifest', ' '.repeat(256 * 1024 + 1))]);
  await expect(unpackBundle(archive)).rejects.toMatchObject(
    refused('.manifest: 262145 bytes, at most 262144 are allowed'),
  );
});

test('refuses an archive that is larger than a push may be', async () => {
  await expect(unpackBundle(new Uint8Array(4 * 1024 * 1024 + 1))).rejects.toMatchObject(
    refused('bundle: 4194305 bytes, at most 4194304 are allowed'),
  );
});

test('refuses what is no archive, and one that ends in its middle', async () => {
  await expect(unpackBundle(Buffer.from('hello'))).rejects.toMatchObject(refused('bundle: is not a gzip archive'));
  await expect(unpackBundle(gzipSync('hello'.repeat(500)))).rejects.toMatchObject(
    refused('bundle: is not a tar archive'),
  );
  const whole = gunzipSync(await packBundle(goodFiles()));
  await expect(unpackBundle(gzipSync(whole.subarray(0, 3000)))).rejects.toMatchObject(
    refused('bundle: is not a tar archive'),
  );
});
