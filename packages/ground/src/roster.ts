import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { name } from '@agentgate/contracts';
import { z } from 'zod';
import { GroundError } from './error.ts';
import { privateFolder, readIfThere, writePrivate } from './private-file.ts';

// agents.json: every agent that has credentials, by whose wish, and every user that was revoked. It outlives restarts, so that
// a removed agent stays removed although agentgate.yaml still names it, and its revocation stands in each later account JWT.

const entry = z.strictObject({
  tenant: name,
  name,
  labels: z.array(name),
  user: z.string(),
  from: z.enum(['config', 'command']),
});
export type RosterEntry = z.infer<typeof entry>;
const roster = z.strictObject({
  v: z.literal(1),
  agents: z.array(entry),
  removed: z.array(z.strictObject({ tenant: name, name })),
  revoked: z.array(z.strictObject({ tenant: name, user: z.string(), at: z.int() })),
});
export type Roster = z.infer<typeof roster>;

const fileOf = (home: string) => join(home, 'agents.json');

export const readRoster = (home: string): Roster => {
  const text = readIfThere(fileOf(home));
  if (text === undefined) return { v: 1, agents: [], removed: [], revoked: [] };
  try {
    return roster.parse(JSON.parse(text));
  } catch (cause) {
    // Going on without it would let revoked users in again.
    throw new GroundError(`${fileOf(home)} cannot be read`, { cause });
  }
};
export const writeRoster = (home: string, content: Roster): void =>
  writePrivate(fileOf(home), `${JSON.stringify(content, null, 2)}\n`);

const lockWaitMs = 30_000;
/** https://sqlite.org/rescode.html#busy */
const sqliteBusy = 5;

/**
 * One process at a time, of those that ask here, reads the list and writes it or tells a server of it: else the later writer, or teller, would undo what the other
 * did. The lock is SQLite's, and ends with whoever has it. Throws GroundError where another has it for 30 s.
 */
export const withRoster = async <T>(home: string, work: () => T | Promise<T>): Promise<T> => {
  const file = join(home, 'run', 'agents.lock');
  privateFolder(join(home, 'run'));
  closeSync(openSync(file, 'a', 0o600));
  const db = new DatabaseSync(file);
  try {
    for (const until = performance.now() + lockWaitMs; ; await sleep(20)) {
      try {
        db.exec('BEGIN EXCLUSIVE');
        break;
      } catch (cause) {
        const isHeld = (cause as { errcode?: number }).errcode === sqliteBusy;
        if (isHeld && performance.now() < until) continue;
        throw new GroundError(`${file}: ${isHeld ? 'another command changes the agents' : (cause as Error).message}`, {
          cause,
        });
      }
    }
    return await work();
  } finally {
    db.close();
  }
};

export interface Named {
  tenant: string;
  name: string;
}
export const sameAgent = (a: Named, b: Named): boolean => a.tenant === b.tenant && a.name === b.name;

/** Seconds since the epoch, as far as dates go: a revoked user is never used again, and a time of now says nothing once the clock is set back. */
const forEver = 253_402_300_799;

/** The users of a tenant that may not come in any more, whenever what they have was signed. */
export const revokedOf = (content: Roster, tenant: string): Record<string, number> =>
  Object.fromEntries(content.revoked.filter((r) => r.tenant === tenant).map((r) => [r.user, forEver]));
