import { AgentGateError } from '@agentgate/contracts';
import type { Recalled, Source } from '@agentgate/policy-engine';
import type { Redis } from 'ioredis';
import type { Memory, TaintOwner } from '../ports.ts';
import { graceMs, runScript as run, script, sessionKey, taintKeys } from './redis-script.ts';

// What a session saw is the hash `mem:<session>`: `v<key>` holds where a value was seen, as `<s|t><p|->number` of the tool in
// `names`, comma by comma; `u<counter>` what was charged to it; `count` how many values there are; `full` that there were
// more. It ends with the session. What an agent wrote is the sorted set `wrote:<tenant>/<agent>`, the oldest first. Taint
// labels are sets; the agent's ends only when an operator clears it.

/** Values of a session. Beyond it nothing is added, and the packs are told that what they do not know may have been seen. */
export const maxValues = 10_000;
/** Of each kind of place, so that text never hides a structured field, nor the other way round. */
const maxSources = 2;
const maxTools = 250;
const maxWritten = 20_000;
const writtenMs = 30 * 24 * 60 * 60 * 1000;
/** Arguments of one Redis command inside a script. */
const chunk = 1_000;

const recall = script(`
local asked = cjson.decode(ARGV[1])
local out = {}
for i, call in ipairs(asked) do
  local memory, wrote = KEYS[2 * i - 1], KEYS[2 * i]
  local about = redis.call('HMGET', memory, 'names', 'full', 'u' .. call.counter)
  local sources, written = {}, {}
  if #call.fields > 0 then
    sources = redis.call('HMGET', memory, unpack(call.fields))
    written = redis.call('ZMSCORE', wrote, unpack(call.fields))
  end
  out[i] = {about[1] or '', about[2] or '', about[3] or '0', sources, written}
end
return out`);

/** Keys: session, memory, taint of the session, taint of the agent, what the agent wrote. */
const commit = script(`
local calls = cjson.decode(ARGV[1])
local out = {}
for i, call in ipairs(calls) do
  local memory, onSession, onAgent, wrote = KEYS[5 * i - 3], KEYS[5 * i - 2], KEYS[5 * i - 1], KEYS[5 * i]
  local left = 1
  if call.charge then
    local used = tonumber(redis.call('HGET', memory, 'u' .. call.charge.counter) or '0')
    if used >= call.charge.budget then left = 0
    else
      redis.call('HSET', memory, 'u' .. call.charge.counter, used + 1)
      redis.call('PEXPIREAT', memory, call.ends)
    end
  end
  if left == 1 then
    if #call.taint > 0 then
      redis.call('SADD', onSession, unpack(call.taint))
      redis.call('PEXPIREAT', onSession, call.ends)
      redis.call('SADD', onAgent, unpack(call.taint))
    end
    if #call.written > 0 then
      local time = redis.call('TIME')
      for _, field in ipairs(call.written) do redis.call('ZADD', wrote, time[1] * 1000000 + time[2], field) end
      redis.call('ZREMRANGEBYRANK', wrote, 0, -1 - ${maxWritten})
      redis.call('PEXPIRE', wrote, ${writtenMs})
    end
  end
  out[i] = left
end
return out`);

/** 1 remembered, 0 the session is gone, -1 it is somebody else's. */
const remember = script(`
local s = redis.call('HMGET', KEYS[1], 'tenant', 'agent', 'expires_at')
if not s[1] then return 0 end
if s[1] ~= ARGV[1] or s[2] ~= ARGV[2] then return -1 end
local names = redis.call('HGET', KEYS[2], 'names') or ''
local number, tools = nil, 0
for name in string.gmatch(names, '[^\\n]+') do
  tools = tools + 1
  if name == ARGV[3] then number = tools end
end
if not number then
  number = 0
  if tools < ${maxTools} then
    number = tools + 1
    redis.call('HSET', KEYS[2], 'names', names .. ARGV[3] .. '\\n')
  end
end
local count = tonumber(redis.call('HGET', KEYS[2], 'count') or '0')
local values = cjson.decode(ARGV[5])
for from = 1, #values, ${chunk} do
  local fields, set = {}, {}
  local to = math.min(from + ${chunk} - 1, #values)
  for i = from, to do fields[#fields + 1] = string.sub(values[i], 2) end
  local had = redis.call('HMGET', KEYS[2], unpack(fields))
  local new = {}
  for i = from, to do
    local field, class = fields[i - from + 1], string.sub(values[i], 1, 1)
    local source = class .. ARGV[4] .. number
    local known = new[field] or had[i - from + 1]
    if not known then
      if count < ${maxValues} then
        count = count + 1
        new[field] = source
      else
        redis.call('HSET', KEYS[2], 'full', '1')
      end
    elseif not string.find(',' .. known .. ',', ',' .. source .. ',', 1, true) then
      local _, same = string.gsub(',' .. known, ',' .. class, '')
      if same < ${maxSources} then new[field] = known .. ',' .. source end
    end
  end
  for field, known in pairs(new) do
    set[#set + 1] = field
    set[#set + 1] = known
  end
  if #set > 0 then redis.call('HSET', KEYS[2], unpack(set)) end
end
redis.call('HSET', KEYS[2], 'count', count)
if ARGV[6] == '1' then redis.call('HSET', KEYS[2], 'full', '1') end
redis.call('PEXPIREAT', KEYS[2], tonumber(s[3]) + ${graceMs})
return 1`);

const memoryKey = (session: string) => `mem:${session}`;
const wroteKey = ({ tenant, agent }: { tenant: string; agent: string }) => `wrote:${tenant}/${agent}`;
const field = (key: string) => `v${key}`;

const sourcesOf = (text: string, names: readonly string[]): Source[] =>
  text.split(',').map((source) => ({
    from: source[0] === 's' ? 'structured' : 'text',
    private: source[1] === 'p',
    tool: names[Number(source.slice(2)) - 1] ?? '(another)',
  }));

const recalled = (found: unknown, keys: readonly string[]): Recalled => {
  const [named, full, used, places, marks] = found as [string, string, string, (string | null)[], (string | null)[]];
  const names = named.split('\n');
  const sources = new Map<string, Source[]>();
  const written = new Set<string>();
  for (const [i, key] of keys.entries()) {
    const place = places[i];
    if (place) sources.set(key, sourcesOf(place, names));
    if (marks[i] != null) written.add(key);
  }
  return { sources, written, used: Number(used), full: full === '1' };
};

const keysOfTaint = ({ tenant, agent, session }: TaintOwner) =>
  session === undefined ? taintKeys({ tenant, agent, session: '' }).slice(1) : taintKeys({ tenant, agent, session });

export const createRedisMemory = (redis: Redis): Memory => ({
  recall: async (asked) => {
    if (asked.length === 0) return [];
    const calls = asked.map(({ counter, keys }) => ({ counter, fields: keys.map(field) }));
    const found = (await run(
      redis,
      recall,
      asked.flatMap((each) => [memoryKey(each.session), wroteKey(each)]),
      [JSON.stringify(calls)],
    )) as unknown[];
    return asked.map(({ keys }, i) => recalled(found[i], keys));
  },
  commit: async (calls) => {
    if (calls.length === 0) return [];
    const told = calls.map(({ charge, taint, written, expiresAt }) => ({
      ...(charge && { charge }),
      taint,
      written: written.map(field),
      ends: expiresAt + graceMs,
    }));
    const keys = calls.flatMap((each) => [
      sessionKey(each.session),
      memoryKey(each.session),
      ...taintKeys(each),
      wroteKey(each),
    ]);
    const left = (await run(redis, commit, keys, [JSON.stringify(told)])) as number[];
    return calls.map((_, i) => left[i] === 1);
  },
  remember: async ({ tenant, agent, session, tool, private: isPrivate, values, overflow }) => {
    const told = values.map(({ key, from }) => `${from === 'structured' ? 's' : 't'}${field(key)}`);
    const args = [tenant, agent, tool, isPrivate ? 'p' : '-', JSON.stringify(told), overflow ? '1' : '0'];
    const done = Number(await run(redis, remember, [sessionKey(session), memoryKey(session)], args));
    if (done < 0) throw new AgentGateError('UNKNOWN_SESSION', 'the session is not known');
  },
  taintOf: async (of) => {
    try {
      return (await redis.sunion(...keysOfTaint(of))).sort();
    } catch (cause) {
      throw new AgentGateError('POLICY_UNAVAILABLE', 'policy cannot read its sessions', { cause });
    }
  },
  clearTaint: async (of, labels) => {
    if (labels.length === 0) return;
    await run(redis, clear, keysOfTaint(of), labels);
  },
});

const clear = script(`
for _, key in ipairs(KEYS) do redis.call('SREM', key, unpack(ARGV)) end
return 1`);
