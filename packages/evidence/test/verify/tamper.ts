import {
  type EvidenceEvent,
  encodeEntries,
  generateSigningKey,
  type Seal,
  sealedText,
  TILE_WIDTH,
  tilePath,
  tilesOfGrowth,
} from '../../src/index.ts';
import { type Files, type MadeLog, makeLog, publish, signersOf, witnessName } from './log-maker.ts';
import { createRandom, type Random } from './random.ts';

// What somebody may do to a log, each time in the strongest form that their means allow.

/** What a trial shows to the verifier instead of the log. */
export interface Tampered {
  files: Files;
  /** The checkpoint that this verifier accepted before, if it remembers one. */
  remembered: string;
}

export interface Attack {
  name: string;
  /** What it takes: the disk alone, the log's key with it, or a producer's place in the log. */
  means: 'disk' | 'log key' | 'producer';
  tamper(log: MadeLog, random: Random): Tampered;
}

interface Entry {
  event: EvidenceEvent;
  seal: Seal;
}
const read = (text: string) => JSON.parse(text) as Entry;

/** A place that has entries before and after it. */
const place = ({ entries }: MadeLog, random: Random) => random.int(8, entries.length - 2);
const remembered = (log: MadeLog) => Buffer.from(log.files.get('checkpoint') ?? '').toString();

/** The thief of the log's key writes all files anew and signs. No witness cosigns: what it last saw was another tree. */
const resigned = (log: MadeLog, entries: readonly string[]): Tampered => ({
  files: publish(entries, { ...signersOf(log.deployment, log.at), witness: undefined }),
  remembered: remembered(log),
});

/** The entries are written anew, and neither hashes nor checkpoint. */
const rewritten = (log: MadeLog, entries: readonly string[]): Tampered => {
  const files = new Map(log.files);
  for (let index = 0; index * TILE_WIDTH < log.entries.length; index++) {
    const width = Math.min(TILE_WIDTH, log.entries.length - index * TILE_WIDTH);
    const inTile = entries.slice(index * TILE_WIDTH, index * TILE_WIDTH + width);
    const path = tilePath({ level: 'entries', index, width });
    if (inTile.length === 0) files.delete(path);
    else files.set(path, encodeEntries(inTile.map((entry) => Buffer.from(entry))));
  }
  return { files, remembered: remembered(log) };
};

/** Everything but the log's key: the entries and the tiles over them are written anew. */
const retiled = (log: MadeLog, entries: readonly string[]): Tampered => {
  const files = publish(entries, signersOf(log.deployment, log.at));
  files.set('checkpoint', log.files.get('checkpoint') as Uint8Array);
  return { files, remembered: remembered(log) };
};

/** What a producer of this deployment got sequenced, and the witness cosigned: the log itself is as it should be. */
const sequenced = (log: MadeLog, entries: readonly string[]): Tampered => ({
  files: publish(entries, signersOf(log.deployment, log.at)),
  remembered: remembered(log),
});

const changed = (text: string, random: Random): string => {
  const { event, seal } = read(text);
  const id = event.id.replace(/.$/, (last) => (last === 'x' ? 'y' : 'x'));
  const data = { ...event.data, forged: random.int(0, 9) };
  return sealedText(JSON.stringify(sorted({ ...event, ...(random.next() < 0.5 ? { id } : { data }) })), seal);
};
const sorted = (value: object): object =>
  Object.fromEntries(
    Object.entries(value)
      .map(([key, each]): [string, unknown] => [
        key,
        each !== null && typeof each === 'object' && !Array.isArray(each) ? sorted(each as object) : each,
      ])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );

const edit = ({ entries }: MadeLog, at: number, random: Random) =>
  entries.with(at, changed(entries[at] as string, random));
const without = ({ entries }: MadeLog, at: number) => entries.toSpliced(at, 1);
const swapped = ({ entries }: MadeLog, at: number) =>
  entries.with(at, entries[at + 1] as string).with(at + 1, entries[at] as string);

/** Two events change their content, and keep everything else. */
const payloadsSwapped = ({ entries }: MadeLog, at: number, random: Random) => {
  const other = entries.findIndex((text, i) => i > 6 && i !== at && read(text).event.type.includes('call'));
  const at2 = other < 0 ? at + 1 : random.next() < 0.5 ? other : at + 1;
  const [a, b] = [read(entries[at] as string), read(entries[at2] as string)];
  const withData = ({ event, seal }: Entry, data: EvidenceEvent['data']) =>
    sealedText(JSON.stringify(sorted({ ...event, data: { ...data, swapped: true } })), seal);
  return entries.with(at, withData(a, b.event.data)).with(at2, withData(b, a.event.data));
};

/** One more event of a producer, by whatever key. */
const forged = (log: MadeLog, random: Random): string => {
  const { producers, sealed, keys } = log.deployment;
  const victim = random.pick(producers);
  const strangers = producers.filter(({ service }) => service !== victim.service).map(({ key }) => key);
  const key = random.pick([generateSigningKey(), keys.log, keys.witness, ...strangers]);
  const item = victim.chain.next({ ...draftAt(log.at), id: 'evt_forged0001' });
  return sealed(victim, [item], key)[0] as string;
};
const draftAt = (time: number) => ({
  id: 'evt_late000001',
  type: 'agentgate.approval.granted.v1',
  subject: 'apr_0000000001',
  time: new Date(time).toISOString(),
  data: { approval: 'apr_0000000001', call: 'call_0000000001', by: 'ann' },
});

/** A hijacked producer signs with its own key, in its own chain, what it says to have happened long before. */
const backdated = (log: MadeLog, random: Random): string => {
  const producer = random.pick(log.deployment.producers);
  const time = log.at - random.int(6 * 60_000, 30 * 86_400_000);
  return log.deployment.sealed(producer, [producer.chain.next(draftAt(time))])[0] as string;
};

/** In any file that the checkpoint vouches for, or in the checkpoint. */
const flipped = (log: MadeLog, random: Random): Tampered => {
  const files = new Map(log.files);
  const path = random.pick(['checkpoint', ...[...tilesOfGrowth(0, log.entries.length)].map(tilePath)]);
  const bytes = Buffer.from(files.get(path) as Uint8Array);
  const at = random.int(0, bytes.length - 1);
  bytes[at] = (bytes[at] as number) ^ (1 << random.int(0, 7));
  return { files: files.set(path, bytes), remembered: remembered(log) };
};

const attackOf = (name: string, means: Attack['means'], tamper: Attack['tamper']): Attack => ({ name, means, tamper });
/** The same change with the disk alone, with the tiles over it, and with the log's key. */
const inAllForms = (name: string, change: (log: MadeLog, random: Random) => readonly string[]): Attack[] => [
  attackOf(name, 'disk', (log, random) => (random.next() < 0.5 ? rewritten : retiled)(log, change(log, random))),
  attackOf(name, 'log key', (log, random) => resigned(log, change(log, random))),
];

export const attacks: readonly Attack[] = [
  ...inAllForms('edit', (log, random) => edit(log, place(log, random), random)),
  ...inAllForms('delete', (log, random) => without(log, place(log, random))),
  ...inAllForms('insert', (log, random) => log.entries.toSpliced(place(log, random), 0, forged(log, random))),
  ...inAllForms('reorder', (log, random) => swapped(log, place(log, random))),
  ...inAllForms('truncate', (log, random) => log.entries.slice(0, place(log, random))),
  ...inAllForms('swap payloads', (log, random) => payloadsSwapped(log, place(log, random), random)),
  attackOf('flip a bit', 'disk', flipped),
  // The best that the thief of the log's key can do: one producer's latest events never were, and genuine ones of
  // another make the log as long as it was. No seal and no chain gives it away.
  attackOf('fork', 'log key', (log, random) => {
    const at = place(log, random);
    const victim = read(log.entries[at] as string).event.source;
    const kept = log.entries.filter((text, i) => i < at || read(text).event.source !== victim);
    const { producers, sealed } = log.deployment;
    const other = random.pick(producers.filter(({ chain }) => chain.source !== victim));
    const items = Array.from({ length: log.entries.length - kept.length }, () => other.chain.next(draftAt(log.at)));
    return resigned(log, [...kept, ...sealed(other, items)]);
  }),
  // An older state of the log as it was published then, with the witness's own cosignature of then.
  attackOf('roll back', 'disk', (log, random) => ({
    files: publish(log.entries.slice(0, place(log, random)), signersOf(log.deployment, log.at - 3_600_000)),
    remembered: remembered(log),
  })),
  attackOf('re-sign', 'log key', (log, random) => {
    const stale = resigned(log, edit(log, place(log, random), random));
    // The witness's cosignature of the real checkpoint is pasted under the forged one.
    const line = remembered(log)
      .split('\n')
      .find((each) => each.includes(witnessName)) as string;
    const note = `${Buffer.from(stale.files.get('checkpoint') as Uint8Array).toString()}${line}\n`;
    stale.files.set('checkpoint', Buffer.from(note));
    return stale;
  }),
  attackOf('back-date', 'producer', (log, random) => sequenced(log, [...log.entries, backdated(log, random)])),
  attackOf('forge', 'producer', (log, random) => sequenced(log, [...log.entries, forged(log, random)])),
  attackOf('replay', 'producer', (log, random) => sequenced(log, [...log.entries, random.pick(log.entries)])),
];

export const trial = (attack: Attack, seed: number): { log: MadeLog; tampered: Tampered } => {
  const random = createRandom(seed * 7_919 + 1);
  const log = makeLog(seed, random.next() < 0.8 ? random.int(12, 200) : random.int(257, 600), { isWhole: true });
  return { log, tampered: attack.tamper(log, random) };
};
