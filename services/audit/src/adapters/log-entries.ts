import { decodeEntries, leafHash, TILE_WIDTH, tilePath } from '@agentgate/evidence';
import type { EntrySource, LogEntry } from '../publisher.ts';
import type { LogFolder, Sequencer } from '../sequencer.ts';
import type { SqliteLog } from './sqlite-log.ts';

/** The published entries: the newest from the database, older ones from their bundles. */
export const createLogEntries = ({
  store,
  folder,
  sequencer,
}: {
  store: Pick<SqliteLog, 'entries'>;
  folder: Pick<LogFolder, 'read'>;
  sequencer: Pick<Sequencer, 'published'>;
}): EntrySource => ({
  published: sequencer.published,
  entries: async (index, limit) => {
    const kept = store.entries(index, limit);
    if (kept) return kept;
    const bundle = Math.floor(index / TILE_WIDTH);
    const bytes = await folder.read(tilePath({ level: 'entries', index: bundle, width: TILE_WIDTH }));
    const first = bundle * TILE_WIDTH;
    return decodeEntries(bytes, TILE_WIDTH)
      .slice(index - first, index - first + limit)
      .map((entry, i) => readEntry(index + i, entry));
  },
});

const readEntry = (index: number, body: Uint8Array): LogEntry => {
  const text = Buffer.from(body).toString();
  const { tenant = null, type } = (JSON.parse(text) as { event: { tenant?: string; type: string } }).event;
  return { index, leafHash: leafHash(body).toString('hex'), body, tenant, type };
};
