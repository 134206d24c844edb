import { join } from 'node:path';
import { name } from '@agentgate/contracts';
import { z } from 'zod';
import { GroundError } from './error.ts';
import { readIfThere, writePrivate } from './private-file.ts';

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

export interface Named {
  tenant: string;
  name: string;
}
export const sameAgent = (a: Named, b: Named): boolean => a.tenant === b.tenant && a.name === b.name;

/** The users of a tenant that may not come in any more. */
export const revokedOf = (content: Roster, tenant: string): Record<string, number> =>
  Object.fromEntries(content.revoked.filter((r) => r.tenant === tenant).map((r) => [r.user, r.at]));
