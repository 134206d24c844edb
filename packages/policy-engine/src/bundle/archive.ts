import { promisify } from 'node:util';
import { gunzip, gzipSync } from 'node:zlib';
import { maxBundleBytes } from '@agentgate/contracts';
import { packTar, unpackTar } from 'modern-tar';
import { refuse } from './refused.ts';

// OPA's bundle format: a gzipped tar. What somebody else made is read as if they were an attacker: bounded before it is unpacked,
// and of names only those that a policy needs. Nothing is ever written to a disk.

/** The files of a bundle, and how large each may be. */
const mostBytes = {
  'policy.wasm': 4 * 1024 * 1024,
  'data.json': 24 * 1024 * 1024,
  'tests.json': 2 * 1024 * 1024,
  '.manifest': 256 * 1024,
  '.signatures.json': 64 * 1024,
} as const;
export type BundleFileName = keyof typeof mostBytes;
const names = Object.keys(mostBytes) as BundleFileName[];
/** tar's own headers and padding come on top. */
const mostUnpacked = Object.values(mostBytes).reduce((sum, bytes) => sum + bytes) + 64 * 1024;

export type BundleFiles = Partial<Record<BundleFileName, Uint8Array<ArrayBuffer>>>;

const unzip = promisify(gunzip);

/** Throws POLICY_INVALID naming the file for anything but an archive of the files of a bundle. */
export const unpackBundle = async (archive: Uint8Array): Promise<BundleFiles> => {
  if (archive.byteLength > maxBundleBytes)
    throw refuse('bundle', `${archive.byteLength} bytes, at most ${maxBundleBytes} are allowed`);
  const tar = await unzipped(archive);
  const files: BundleFiles = {};
  for (const { header, data } of await entriesOf(tar)) {
    const name = nameOf(header.name);
    if (header.type !== 'file') throw refuse(name, `is a ${header.type}; a bundle holds files only`);
    if (files[name]) throw refuse(name, 'stands in the archive twice');
    const bytes = data ?? new Uint8Array();
    if (bytes.byteLength > mostBytes[name])
      throw refuse(name, `${bytes.byteLength} bytes, at most ${mostBytes[name]} are allowed`);
    files[name] = bytes;
  }
  return files;
};

const unzipped = async (archive: Uint8Array): Promise<Uint8Array> => {
  try {
    return await unzip(archive, { maxOutputLength: mostUnpacked });
  } catch (cause) {
    const isBomb = (cause as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';
    throw refuse('bundle', isBomb ? `unpacks to more than ${mostUnpacked} bytes` : 'is not a gzip archive', cause);
  }
};

const entriesOf = async (tar: Uint8Array) => {
  try {
    return await unpackTar(tar, { strict: true });
  } catch (cause) {
    throw refuse('bundle', 'is not a tar archive', cause);
  }
};

/** A file of a bundle that was just compiled here, which may hold more than one that is pushed: opa puts its Rego in as well. */
export const memberOfBundle = async (
  archive: Uint8Array,
  name: string,
): Promise<Uint8Array<ArrayBuffer> | undefined> => {
  const entries = await entriesOf(await unzipped(archive));
  return entries.find(({ header }) => header.name === name || header.name === `/${name}`)?.data;
};

/** OPA writes names with a slash before them. Any other spelling, and any other path, is nobody's. */
const nameOf = (path: string): BundleFileName => {
  const name = names.find((each) => path === each || path === `/${each}`);
  if (!name)
    throw refuse(
      'bundle',
      `holds ${JSON.stringify(path.slice(0, 128))}; it may hold ${names.join(', ')} and nothing else`,
    );
  return name;
};

/** Named as OPA names them. The same files give the same bytes: their order, times and owners are fixed, and so is what gzip says of the machine. */
export const packBundle = async (files: BundleFiles): Promise<Uint8Array> => {
  const tar = await packTar(
    names
      .flatMap((name) => (files[name] ? [{ name, body: files[name] }] : []))
      .map(({ name, body }) => ({
        header: {
          name: `/${name}`,
          size: body.byteLength,
          type: 'file',
          mode: 0o644,
          mtime: new Date(0),
          uid: 0,
          gid: 0,
        },
        body,
      })),
  );
  const archive = gzipSync(tar, { level: 9 });
  // The byte that names the operating system.
  archive[9] = 255;
  return archive;
};
