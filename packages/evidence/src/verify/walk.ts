import { HASH_BYTES } from '../hash.ts';
import { TILE_WIDTH, tilePath } from '../tile.ts';
import { type Findings, finding } from './finding.ts';
import type { Bundle, LogFiles } from './log-files.ts';
import type { LogTiles, ReadBundle } from './log-tiles.ts';

export interface Progress {
  /** How many entries were held against the tree. */
  readonly entries: number;
  readonly size: number;
}

interface Walk {
  files: LogFiles;
  tiles: LogTiles;
  findings: Findings;
  size: number;
  from: number;
  /** Called with each entry that is what the tree says, in order. */
  visit: (index: number, bytes: Uint8Array) => void;
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** Bundles that are read while one is verified: hides the way to a server, and bounds what is held. */
const AHEAD = 4;
/** A checkpoint can promise any number of entries. Where so many bundles in a row are missing, the rest is too. */
const MAX_MISSING = 16;

/** Holds every entry against the tree, bundle by bundle. */
export async function walkEntries({ files, tiles, findings, size, from, visit, onProgress }: Walk): Promise<void> {
  let missing = 0;
  for await (const { index, width, read } of readAhead(files, { from, size })) {
    const hashes = await tiles.leaves(index, read);
    const { bundle } = read;
    missing = bundle ? 0 : missing + 1;
    if (bundle) checkBundle({ first: index * TILE_WIDTH, width, bundle, hashes, findings, visit });
    else findings.add(missingBundle({ index, width, isLast: missing === MAX_MISSING }));
    if (missing === MAX_MISSING) return;
    onProgress?.({ entries: index * TILE_WIDTH + width, size });
  }
}

async function* readAhead(
  files: LogFiles,
  { from, size }: { from: number; size: number },
): AsyncGenerator<{ index: number; width: number; read: ReadBundle }> {
  const queue: { index: number; width: number; read: Promise<ReadBundle> }[] = [];
  let next = Math.floor(from / TILE_WIDTH);
  const begin = (): void => {
    const index = next++;
    const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
    const tile = width === TILE_WIDTH ? files.hashes({ level: 0, index, width }) : undefined;
    const read = Promise.all([files.entries(index, width), tile]).then(([bundle, hashes]) => ({
      bundle,
      tile: hashes,
    }));
    // Whoever takes it from the queue sees the rejection; until then nobody need be told.
    read.catch(() => undefined);
    queue.push({ index, width, read });
  };
  while (queue.length > 0 || next * TILE_WIDTH < size) {
    while (queue.length <= AHEAD && next * TILE_WIDTH < size) begin();
    const first = queue.shift();
    if (first) yield { ...first, read: await first.read };
  }
}

interface Checked {
  first: number;
  width: number;
  bundle: Bundle;
  hashes: Uint8Array | undefined;
  findings: Findings;
  visit: Walk['visit'];
}

function checkBundle({ first, width, bundle, hashes, findings, visit }: Checked): void {
  const { entries, leaves, isExact } = bundle;
  let isTold = false;
  for (const [i, leaf] of leaves.slice(0, width).entries()) {
    if (hashes === undefined || isLeafAt(hashes, i, leaf)) visit(first + i, entries[i] as Uint8Array);
    else if (!isTold) {
      findings.add(wrongEntry({ first, at: i, leaves, hashes }));
      isTold = true;
    }
  }
  if (isTold || isExact) return;
  const index = first + Math.min(leaves.length, width - 1);
  const reason = `the bundle holds ${leaves.length} whole entries of ${width}, or more than these`;
  findings.add(finding('ENTRY_MOVED', { index, what: `entry ${index} is not where it was sequenced`, reason }));
}

/** One finding a bundle: what comes after the first wrong entry mostly follows from it. */
function wrongEntry({
  first,
  at,
  leaves,
  hashes,
}: Pick<Checked, 'first'> & { at: number; leaves: readonly Uint8Array[]; hashes: Uint8Array }) {
  const index = first + at;
  const leaf = leaves[at] as Uint8Array;
  const hex = Buffer.from(leaf).toString('hex');
  const reason = `its hash is ${hex}, the checkpoint vouches for ${Buffer.from(leafAt(hashes, at)).toString('hex')}`;
  const sequencedAt = Array.from({ length: hashes.length / HASH_BYTES }, (_, i) => i).find((i) =>
    isLeafAt(hashes, i, leaf),
  );
  if (sequencedAt !== undefined) {
    const what = `entry ${index} was removed or moved: in its place stands the one that was sequenced as ${first + sequencedAt}`;
    return finding('ENTRY_MOVED', { index, what, reason });
  }
  const next = leaves[at + 1];
  if (next && isLeafAt(hashes, at, next)) {
    return finding('ENTRY_INSERTED', {
      index,
      what: `an entry was put in at ${index} after the log was sequenced`,
      reason,
    });
  }
  return finding('ENTRY_CHANGED', { index, what: `entry ${index} was changed after it was sequenced`, reason });
}

function missingBundle({ index, width, isLast }: { index: number; width: number; isLast: boolean }) {
  const first = index * TILE_WIDTH;
  const what = `entries ${first} to ${first + width - 1} are missing`;
  const path = tilePath({ level: 'entries', index, width });
  const reason = isLast ? `there is no ${path}, and nothing was looked for beyond it` : `there is no ${path}`;
  return finding('FILE_MISSING', { index: first, what, reason });
}

function leafAt(hashes: Uint8Array, at: number): Uint8Array {
  return hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
}

function isLeafAt(hashes: Uint8Array, at: number, leaf: Uint8Array): boolean {
  return Buffer.compare(leafAt(hashes, at), leaf) === 0;
}
