import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { decodeEntries, type KeyRing, parseTilePath, verifyEntry } from '@agentgate/evidence';
import type { TrialEvent } from '@agentgate/policy-engine';
import { type CliContext, CliError } from '../context.ts';
import { readEvidence } from '../evidence/index.ts';
import { trustOf, withUser } from '../stack.ts';

// Events to try a policy on: of the running stack's stream EVIDENCE, or of a copy of the log's folder. An entry whose seal is not good is
// left out and counted: that the log is whole, `agentgate evidence verify` says.

export interface EventsRead {
  /** Entries that cannot be believed. */
  refused: number;
}

export const readTrialEvents = (
  ctx: CliContext,
  log: string | undefined,
  onEvent: (event: TrialEvent) => void,
): Promise<EventsRead> =>
  log === undefined ? ofStream(ctx, onEvent) : eventsOfFolder(resolve(log), trustOf(ctx.home), onEvent);

const ofStream = (ctx: CliContext, onEvent: (event: TrialEvent) => void): Promise<EventsRead> =>
  withUser(ctx.home, 'auditor', async (bus) => {
    let refused = 0;
    const follower = await readEvidence({
      bus,
      keys: trustOf(ctx.home),
      onEntry: ({ entry }) => {
        if (entry) onEvent(entry.event);
        else refused++;
      },
    });
    await follower.close();
    return { refused };
  });

/** Of a folder of a log (C2SP tlog-tiles). Throws CliError where it is none. */
export const eventsOfFolder = async (
  folder: string,
  keys: KeyRing,
  onEvent: (event: TrialEvent) => void,
): Promise<EventsRead> => {
  let refused = 0;
  for (const { path, width } of entryTiles(folder))
    for (const bytes of decodeEntries(readFileSync(path), width)) {
      const verdict = verifyEntry(Buffer.from(bytes).toString('utf8'), { keys });
      if (verdict.ok) onEvent(verdict.entry.event);
      else refused++;
    }
  return { refused };
};

/** Of each tile the widest: a partial one is a beginning of the whole one. */
const entryTiles = (folder: string): { path: string; width: number }[] => {
  const widest = new Map<number, { path: string; width: number }>();
  for (const file of filesOf(folder)) {
    const { level, index, width } = parseTilePath(file);
    const known = widest.get(index);
    if (level === 'entries' && (!known || known.width < width)) widest.set(index, { path: join(folder, file), width });
  }
  return [...widest].sort(([a], [b]) => a - b).map(([, tile]) => tile);
};
const filesOf = (folder: string): string[] => {
  try {
    return readdirSync(join(folder, 'tile', 'entries'), { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name).slice(folder.length + 1));
  } catch {
    throw new CliError(`${folder}: is no folder of a log: it has no tile/entries`);
  }
};
