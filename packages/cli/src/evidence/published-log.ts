import {
  type Checkpoint,
  createLogFiles,
  inclusionProof,
  leafHash,
  NOTE_ED25519,
  parseVkey,
  TILE_WIDTH,
  type Tile,
  tilePath,
  tilesForInclusion,
  verifyCheckpoint,
  verifyInclusion,
} from '@agentgate/evidence';
import { type CliContext, CliError } from '../context.ts';
import { readStatus } from '../stack.ts';
import { given, openPlace } from './verify.ts';

/** A log as its files have it, under one checkpoint that its key signed. Throws CliError wherever these contradict each other. */
export interface PublishedLog {
  readonly place: string;
  readonly vkey: string;
  /** The signed note with its cosignatures, verbatim. */
  readonly note: string;
  readonly checkpoint: Checkpoint;
  /** From `from` on, 256 at most each time. */
  bundles(from: number): AsyncGenerator<{ index: number; texts: string[] }>;
  entry(index: number): Promise<string>;
  /** The inclusion path of an entry, which was held against the checkpoint. */
  path(index: number): Promise<Uint8Array[]>;
}

export interface LogFlags {
  log?: string;
  vkey?: string;
}

const ahead = 8;
/** 8 KiB each: neighbours share most of their way to the root. */
const maxTiles = 256;

/** The log that the flags name; by default the running stack's. */
export const openPublishedLog = async (ctx: CliContext, { log, vkey: givenKey }: LogFlags): Promise<PublishedLog> => {
  if (log !== undefined && givenKey === undefined)
    throw new CliError('--vkey is missing: without its key a log proves nothing');
  const own = log === undefined ? readStatus(ctx.home).log : undefined;
  const place = log ?? own?.dir ?? '';
  const vkey = givenKey ?? own?.vkey ?? '';
  const key = given('--vkey', () => parseVkey(vkey, NOTE_ED25519));
  const files = createLogFiles(await openPlace(place));
  const note = await files.checkpoint();
  if (note === undefined) throw new CliError(`${place} holds no log: there is no checkpoint`);
  const signed = verifyCheckpoint(note, { origin: key.name, keys: [key] });
  if (!signed.ok) throw new CliError(`${place}: ${signed.reason}`);
  const { checkpoint } = signed;
  const { size, root } = checkpoint;
  const bad = (what: string) =>
    new CliError(`${place}: ${what}. "agentgate evidence verify" says what is wrong with the log`);

  const bundle = async (number: number): Promise<{ index: number; texts: string[] }> => {
    const width = Math.min(TILE_WIDTH, size - number * TILE_WIDTH);
    const found = await files.entries(number, width);
    if (!found || found.entries.length !== width) throw bad(`entry bundle ${number} is not whole`);
    return { index: number * TILE_WIDTH, texts: found.entries.map((bytes) => Buffer.from(bytes).toString()) };
  };
  /** The last one read: neighbours are often asked for one after the other. */
  let last: Promise<{ index: number; texts: string[] }> | undefined;
  let lastNumber = -1;
  const bundleOf = (number: number) => {
    if (number !== lastNumber || !last) {
      last = bundle(number);
      lastNumber = number;
    }
    return last;
  };
  const known = new Map<string, Uint8Array>();
  const hashTile = async (tile: Tile): Promise<Uint8Array> => {
    const at = tilePath(tile);
    const before = known.get(at);
    if (before) return before;
    const bytes = await files.hashes(tile);
    if (!(bytes instanceof Uint8Array)) throw bad(`${at} is missing or malformed`);
    if (known.size >= maxTiles) known.clear();
    known.set(at, bytes);
    return bytes;
  };
  const published: PublishedLog = {
    place,
    vkey,
    note: Buffer.from(note).toString(),
    checkpoint,
    bundles: async function* (from) {
      const queue: Promise<{ index: number; texts: string[] }>[] = [];
      for (let next = Math.floor(from / TILE_WIDTH); next * TILE_WIDTH < size || queue.length > 0; ) {
        while (queue.length < ahead && next * TILE_WIDTH < size) {
          const read = bundle(next++);
          // Whoever takes it from the queue sees the rejection.
          read.catch(() => undefined);
          queue.push(read);
        }
        const { index, texts } = await (queue.shift() as Promise<{ index: number; texts: string[] }>);
        const skip = Math.max(0, from - index);
        yield { index: index + skip, texts: texts.slice(skip) };
      }
    },
    entry: async (index) => {
      if (index < 0 || index >= size) throw new CliError(`there is no entry ${index}: the log has ${size}`);
      const { texts, index: first } = await bundleOf(Math.floor(index / TILE_WIDTH));
      return texts[index - first] as string;
    },
    path: async (index) => {
      const tiles = new Map<string, Uint8Array>();
      for (const tile of tilesForInclusion(index, size)) tiles.set(tilePath(tile), await hashTile(tile));
      const path = inclusionProof({ index, size, readTile: (at) => tiles.get(at) as Uint8Array });
      const leaf = leafHash(await published.entry(index));
      if (!verifyInclusion({ leaf, index, size, path }, root)) throw bad(`entry ${index} is not under the checkpoint`);
      return path;
    },
  };
  return published;
};
