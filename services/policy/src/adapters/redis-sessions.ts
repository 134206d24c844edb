import type { SessionFacts, SessionOwner } from '@agentgate/policy-engine';
import type { Redis } from 'ioredis';
import type { Sessions } from '../ports.ts';
import { graceMs, runScript as run, script, sessionKey, taintKeys } from './redis-script.ts';

// A session is the hash `ses:<id>`. Every change is a script, so that none of them brings a session back that has ended.

/** An agent that opens more is told to wait: sessions live a day and Redis does not drop them to make room. */
const maxOpenedPerHour = 2_000;
/** Three keys a session: itself, its taint, and that of the agent who asks. Three arguments: whose calls are counted, and how many. */
const look = script(`
local out = {}
for i = 1, #KEYS / 3 do
  local key = KEYS[3 * i - 2]
  local f = redis.call('HMGET', key, 'tenant', 'agent', 'opened_at', 'expires_at', 'purpose', 'holds', 'calls', 'denied', 'user', 'subject', 'person')
  if ARGV[3 * i] ~= '0' and f[1] and f[1] == ARGV[3 * i - 2] and f[2] == ARGV[3 * i - 1] then
    redis.call('HINCRBY', key, 'calls', ARGV[3 * i])
  end
  out[i] = {f, redis.call('SMEMBERS', KEYS[3 * i - 1]), redis.call('SMEMBERS', KEYS[3 * i])}
end
return out`);

const open = script(`
redis.call('HSET', KEYS[1], 'tenant', ARGV[1], 'agent', ARGV[2], 'opened_at', ARGV[3], 'expires_at', ARGV[4], 'purpose', ARGV[5], 'user', ARGV[6])
if ARGV[8] then redis.call('HSET', KEYS[1], 'subject', ARGV[8], 'person', ARGV[9]) end
redis.call('PEXPIREAT', KEYS[1], ARGV[7])
return 1`);

const admit = script(`
local opened = redis.call('INCR', KEYS[1])
if opened == 1 then redis.call('EXPIRE', KEYS[1], 7200) end
return opened`);

const hold = script(`
local f = redis.call('HMGET', KEYS[1], 'tenant', 'agent')
if not f[1] then return 1 end
if f[1] ~= ARGV[1] or f[2] ~= ARGV[2] then return 0 end
local field = 'hold:' .. ARGV[3]
if ARGV[4] == '1' then
  if redis.call('HSETNX', KEYS[1], field, '1') == 1 then redis.call('HINCRBY', KEYS[1], 'holds', 1) end
elseif redis.call('HDEL', KEYS[1], field) == 1 then
  redis.call('HINCRBY', KEYS[1], 'holds', -1)
end
return 1`);

const countDenied = script(`
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then redis.call('HINCRBY', key, 'denied', 1) end
end
return 1`);

const factsOf = (found: unknown): SessionFacts | undefined => {
  const [fields, onSession, onAgent] = found as [(string | null)[], string[], string[]];
  const [tenant, agent, openedAt, expiresAt, purpose, holds, calls, denied, user, subject, person] = fields;
  if (tenant == null) return undefined;
  const facts = {
    tenant,
    agent: agent ?? '',
    openedAt: Number(openedAt ?? Number.NaN),
    expiresAt: Number(expiresAt ?? Number.NaN),
    purpose: purpose ?? '',
    user: user ?? '',
    ...(subject != null && { subject: { id: subject, person: person ?? '' } }),
    held: Number(holds ?? 0) !== 0,
    calls: Number(calls ?? 0),
    denied: Number(denied ?? 0),
    taint: { session: onSession, agent: onAgent },
  };
  const whole = [facts.openedAt, facts.expiresAt, facts.calls, facts.denied].every(Number.isSafeInteger);
  // Half a session cannot come from our scripts; it is none.
  return whole ? facts : undefined;
};

type AskedSession = SessionOwner & { session: string };
/** What one agent asks about one session in one batch is read once. */
interface Group {
  of: AskedSession;
  calls: number;
  facts: SessionFacts | undefined;
}
const groupKey = ({ tenant, agent, session }: AskedSession) => `${session} ${tenant}/${agent}`;

/** As if each call had been read alone: the calls of its agent that stand before it in the batch came before it. */
const factsAt = ({ of, facts }: Group, before: number): SessionFacts | undefined =>
  facts && before > 0 && facts.tenant === of.tenant && facts.agent === of.agent
    ? { ...facts, calls: facts.calls + before }
    : facts;

export const createRedisSessions = (redis: Redis, now: () => number): Sessions => ({
  look: async (asked, { count }) => {
    if (asked.length === 0) return [];
    const groups = new Map<string, Group>();
    const places = asked.map((of) => {
      const key = groupKey(of);
      const known = groups.get(key);
      const group = known ?? { of, calls: 0, facts: undefined };
      if (!known) groups.set(key, group);
      return { group, before: count ? group.calls++ : 0 };
    });
    const keys: string[] = [];
    const args: (string | number)[] = [];
    for (const { of, calls } of groups.values()) {
      keys.push(sessionKey(of.session), ...taintKeys(of));
      args.push(of.tenant, of.agent, calls);
    }
    const found = (await run(redis, look, keys, args)) as unknown[];
    for (const [i, group] of [...groups.values()].entries()) group.facts = factsOf(found[i]);
    return places.map(({ group, before }) => factsAt(group, before));
  },
  admit: async ({ tenant, agent }) => {
    const hour = Math.floor(now() / 3_600_000);
    const opened = await run(redis, admit, [`ses:opened:${tenant}/${agent}:${hour}`], []);
    return Number(opened) <= maxOpenedPerHour;
  },
  open: async ({ tenant, agent, session, openedAt, expiresAt, purpose, user, subject }) => {
    const person = subject ? [subject.id, subject.person] : [];
    const facts = [tenant, agent, openedAt, expiresAt, purpose, user, expiresAt + graceMs, ...person];
    await run(redis, open, [sessionKey(session)], facts);
  },
  hold: async ({ tenant, agent, session, call, held }) =>
    Number(await run(redis, hold, [sessionKey(session)], [tenant, agent, call, held ? '1' : '0'])) === 1,
  countDenied: async (sessions) => {
    await run(redis, countDenied, sessions.map(sessionKey), []);
  },
});
