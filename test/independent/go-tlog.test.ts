import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  consistencyProof,
  createAppender,
  encodeEntries,
  formatNote,
  generateSigningKey,
  inclusionProof,
  leafHash,
  noteVerifierKey,
  parseNote,
  signCheckpoint,
  signCosignature,
  tilePath,
  tilesOfGrowth,
  witnessVerifierKey,
} from '@agentgate/evidence';
import { afterAll, beforeAll, expect, test } from 'vitest';

// The log that packages/evidence writes, read by golang.org/x/mod and transparency-dev/formats (./go).

const source = fileURLToPath(new URL('go', import.meta.url));
const goEnv = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false' };
const go = (...args: string[]) =>
  spawnSync('go', args, { cwd: source, env: goEnv, encoding: 'utf8', timeout: 100_000 });

/** Why this cannot run here. A module whose sum is wrong is no such reason: then the build fails, and the test. */
function whyNot(): string | undefined {
  if (go('version').status !== 0) return 'there is no Go on PATH';
  const got = go('mod', 'download');
  const isMissing = got.status !== 0 && !/checksum mismatch|SECURITY ERROR/.test(got.stderr);
  return isMissing ? `Go cannot download its modules: ${got.stderr.trim().split('\n').at(-1)}` : undefined;
}

const reason = whyNot();
if (reason !== undefined) console.warn(`NOT RUN: Go's own check of our log, since ${reason}`);

const sizes = [1, 2, 255, 256, 257, 700, 66_000];
const size = 66_000;
let work: string;
let program: string;
let log: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'agentgate-independent-'));
  program = join(work, 'check');
  log = join(work, 'log');
  if (reason !== undefined) return;
  const built = go('build', '-o', program, '.');
  if (built.status !== 0) expect.fail(`go build: ${built.stderr}`);
  await writeLog(log);
});

afterAll(() => rm(work, { recursive: true, force: true }));

async function write(path: string, bytes: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}

async function writeLog(dir: string): Promise<void> {
  const origin = 'log.example/agentgate';
  const [key, witness] = [generateSigningKey(), { name: 'witness.example/w1', key: generateSigningKey() }];
  const entries = Array.from({ length: size }, (_, i) => Buffer.from(`entry ${i}`));
  const tiles = new Map<string, Uint8Array>();
  const appender = createAppender();
  const roots = new Map<number, string>();
  for (const [i, entry] of entries.entries()) {
    appender.push(leafHash(entry));
    if (!sizes.includes(i + 1)) continue;
    for (const { tile, bytes } of appender.takeTiles()) tiles.set(tilePath(tile), bytes);
    roots.set(i + 1, base64(appender.root()));
  }
  for (const tile of tilesOfGrowth(0, size)) {
    if (tile.level !== 'entries') continue;
    tiles.set(tilePath(tile), encodeEntries(entries.slice(tile.index * 256, tile.index * 256 + tile.width)));
  }
  for (const [path, bytes] of tiles) await write(join(dir, path), bytes);
  const { text, signatures } = parseNote(signCheckpoint({ origin, size, root: appender.root() }, key));
  const cosignature = signCosignature(text, { ...witness, time: 1_700_000_000 });
  await write(join(dir, 'checkpoint'), formatNote({ text, signatures: [...signatures, cosignature] }));
  const readTile = (path: string) => tiles.get(path) ?? expect.fail(`no ${path}`);
  const cases = {
    Origin: origin,
    LogVkey: noteVerifierKey(origin, key.publicKey),
    WitnessVkey: witnessVerifierKey(witness.name, witness.key.publicKey),
    Inclusion: sizes.flatMap((of) =>
      [...new Set([0, of >> 1, of - 1])].map((index) => ({
        Index: index,
        Size: of,
        Root: roots.get(of),
        Leaf: base64(leafHash(entries[index] as Buffer)),
        Path: inclusionProof({ index, size: of, readTile }).map(base64),
      })),
    ),
    Consistency: sizes.flatMap((of) =>
      sizes
        .filter((oldSize) => oldSize <= of)
        .map((oldSize) => ({
          OldSize: oldSize,
          Size: of,
          OldRoot: roots.get(oldSize),
          Root: roots.get(of),
          Proof: consistencyProof({ oldSize, size: of, readTile }).map(base64),
        })),
    ),
  };
  await write(join(dir, 'cases.json'), JSON.stringify(cases));
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

const check = (dir: string) => spawnSync(program, [dir], { encoding: 'utf8', timeout: 100_000 });

test.skipIf(reason !== undefined)("Go's tlog and note find our checkpoint, tiles and proofs right", () => {
  const { status, stdout, stderr } = check(log);
  expect({ status, stderr, stdout }).toEqual({
    status: 0,
    stderr: '',
    stdout: '66000 leaves, 18 inclusion proofs, 28 consistency proofs\n',
  });
});

test.skipIf(reason !== undefined).each([
  ['a tile of level 0', 'tile/0/100', 'tiles of leaf 25600'],
  ['a tile of level 1', 'tile/1/000', 'tiles of leaf 0'],
  ['the checkpoint', 'checkpoint', 'checkpoint: '],
])('they find out a changed byte of %s', async (_, path, says) => {
  const changed = join(work, `changed-${path.replaceAll('/', '-')}`);
  await cp(log, changed, { recursive: true });
  const bytes = await readFile(join(log, path));
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
  await writeFile(join(changed, path), bytes);
  const { status, stderr } = check(changed);
  expect(status).toBe(1);
  expect(stderr).toContain(says);
});
