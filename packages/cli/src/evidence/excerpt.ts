import { type EvidenceEvent, type Excerpt, type ExcerptEntry, formatProof, readEntry } from '@agentgate/evidence';
import { CliError } from '../context.ts';
import { rowOf } from './index-row.ts';
import type { PublishedLog } from './published-log.ts';
import { type FoundRow, type QueryIndex, type Selection, wrongIndex } from './query-index.ts';

/** Beyond this nobody reads a report, and a copy of the log says the same with less. */
const maxExported = 10_000;

/** The events that were asked for, in the log's order. Throws CliError for none and for too many. */
export const selectEvents = async (log: PublishedLog, index: QueryIndex, selection: Selection): Promise<FoundRow[]> => {
  const total = index.count(selection);
  if (total > maxExported)
    throw new CliError(
      `these are ${total} events; an export has at most ${maxExported}: narrow it down, or hand on a copy of the log`,
    );
  const rows = index.find(selection, { limit: maxExported, newestFirst: false });
  const all = selection.incident === undefined ? rows : [...rows, ...(await ledTo(log, index, rows))];
  if (all.length === 0) throw new CliError('no event of the log is like that');
  const byIndex = new Map(all.map((row) => [row.index, row]));
  return [...byIndex.values()].sort((a, b) => a.index - b.index);
};

/** What an incident names as its reasons, with the rest of these calls. */
const ledTo = async (log: PublishedLog, index: QueryIndex, rows: readonly FoundRow[]): Promise<FoundRow[]> => {
  const found: FoundRow[] = [];
  for (const { index: at } of rows.filter(({ type }) => type === 'incident.opened')) {
    const { data } = eventOf(await log.entry(at));
    const ids = Array.isArray(data.events) ? data.events : [];
    for (const id of ids.filter((each) => typeof each === 'string')) {
      const led = index.byId(id);
      if (!led) continue;
      found.push(led, ...(led.call === null ? [] : index.find({ call: led.call }, { limit: 100, newestFirst: false })));
    }
  }
  return found;
};

export const eventOf = (entry: string): EvidenceEvent => {
  const read = readEntry(entry);
  if (!read.ok) throw new CliError(`an entry is not of the form that entries have: ${read.reason}`);
  return read.event;
};

/** These entries with everything that it takes to verify them. */
export const excerptOf = async (
  log: PublishedLog,
  index: QueryIndex,
  { rows, about }: { rows: readonly FoundRow[]; about: Record<string, unknown> },
): Promise<Excerpt> => {
  const { note: checkpoint, vkey } = log;
  const entries: ExcerptEntry[] = [];
  const used = new Set<string>(['deployment']);
  for (const row of rows) {
    const entry = await withPath(log, row.index);
    const event = eventOf(entry.entry);
    // What was asked for was found by what the index says.
    if (Object.entries(rowOf(event)).some(([column, value]) => row[column as keyof FoundRow] !== value))
      throw new CliError(wrongIndex(row.index));
    entries.push(entry);
    used.add(event.source.split('/')[1] ?? '');
  }
  const exported = new Set(rows.map(({ index: at }) => at));
  const keys: ExcerptEntry[] = [];
  for (const type of ['key.added', 'key.revoked'])
    for (const { index: at } of index.find({ type }, { limit: maxExported, newestFirst: false })) {
      if (exported.has(at)) continue;
      const { service } = eventOf(await log.entry(at)).data;
      if (typeof service === 'string' && used.has(service)) keys.push(await withPath(log, at));
    }
  keys.sort((a, b) => a.index - b.index);
  const { origin } = log.checkpoint;
  return { v: 1, kind: 'agentgate-excerpt', about, log: { origin, vkey }, checkpoint, keys, entries };
};

const withPath = async (log: PublishedLog, index: number): Promise<ExcerptEntry> => ({
  index,
  entry: await log.entry(index),
  path: (await log.path(index)).map((hash) => Buffer.from(hash).toString('base64')),
});

/** The C2SP proof of one of its entries, which carries the checkpoint. */
export const proofOf = ({ checkpoint }: Excerpt, { index, path }: ExcerptEntry): string =>
  formatProof({ index, path: path.map((hash) => Buffer.from(hash, 'base64')), checkpoint });
