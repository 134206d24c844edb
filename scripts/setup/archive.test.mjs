import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { memberOfTarGz, memberOfZip, unpackZip } from './archive.mjs';

const tarEntry = (name, content) => {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write(content.length.toString(8).padStart(11, '0'), 124);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content);
  return Buffer.concat([header, body]);
};

const tarGz = (...entries) => gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)]));

/** A zip of deflated entries. Its checksums are left at zero: the archive as a whole was checked before. */
const zip = (entries) => {
  const locals = [];
  const central = [];
  let offset = 0;
  for (const [name, content] of Object.entries(entries)) {
    const packed = deflateRawSync(content);
    const local = Buffer.alloc(30 + name.length);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    local.write(name, 30);
    const entry = Buffer.alloc(46 + name.length);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE((0o100755 << 16) >>> 0, 38);
    entry.writeUInt32LE(offset, 42);
    entry.write(name, 46);
    locals.push(local, packed);
    central.push(entry);
    offset += local.length + packed.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(central.length, 10);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, ...central, end]);
};

test('finds a member of a tar.gz behind others, and nothing where there is none', () => {
  const archive = tarGz(tarEntry('a/README', 'x'.repeat(700)), tarEntry('a/tool', 'program'));
  assert.equal(String(memberOfTarGz(archive, 'a/tool')), 'program');
  assert.equal(memberOfTarGz(archive, 'tool'), undefined);
});

test('finds a member of a zip, and nothing where there is none', () => {
  const archive = zip({ 'a/README': 'x'.repeat(700), 'a/tool': 'program' });
  assert.equal(String(memberOfZip(archive, 'a/tool')), 'program');
  assert.equal(memberOfZip(archive, 'tool'), undefined);
});

test('unpacks what lies under a prefix, and refuses a name that leaves the folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'agentgate-zip-'));
  try {
    await unpackZip(zip({ 'go/bin/go': 'program', 'other/file': 'x' }), { prefix: 'go/', folder });
    assert.equal(await readFile(join(folder, 'bin', 'go'), 'utf8'), 'program');
    const evil = zip({ 'go/../../evil': 'x' });
    await assert.rejects(unpackZip(evil, { prefix: 'go/', folder }), /unsafe name/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
