import { randomUUID } from 'node:crypto';
import { AgentGateError, scope } from '@agentgate/contracts';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Order } from '../orders.ts';
import type { View, ViewOrder } from '../ports.ts';

// Keys: `kill:scope:<scope key>` one order each, `kill:view` the marker, `kill:building:<instance>` while an instance rebuilds.
// Every value names the KILL stream that it is of: what another stream left behind counts for nothing.

const markerKey = 'kill:view';
const keyOf = (scopeKey: string) => `kill:scope:${scopeKey}`;
/** A lifted scope stays for a day, far longer than an older order can be on its way; the stream keeps it for good. */
const liftedTtlS = 86_400;
const buildingTtlS = 60;
const chunk = 500;

const markerValue = z.strictObject({ stream: z.string(), epoch: z.int().min(0) });
const orderValue = z.strictObject({
  stream: z.string(),
  epoch: z.int().min(1),
  state: z.enum(['killed', 'lifted']),
  scope,
  reason: z.string(),
});

/** ARGV from `first`: one JSON text for each of KEYS from 2. */
const common = `
local function decoded(key)
  local text = redis.pcall('GET', key)
  if type(text) ~= 'string' then return nil end
  local ok, value = pcall(cjson.decode, text)
  if not ok or type(value) ~= 'table' or type(value.epoch) ~= 'number' then return nil end
  return value
end
local function write(stream, first)
  for i = 2, #KEYS do
    local new = cjson.decode(ARGV[first + i - 2])
    local was = decoded(KEYS[i])
    if not was or was.stream ~= stream or was.epoch <= new.epoch then
      if new.state == 'lifted' then redis.call('SET', KEYS[i], ARGV[first + i - 2], 'EX', ${liftedTtlS})
      else redis.call('SET', KEYS[i], ARGV[first + i - 2]) end
    end
  end
end
local function mark(stream, epoch)
  local marker = decoded('${markerKey}')
  if marker and marker.stream == stream and marker.epoch >= epoch then return end
  redis.call('SET', '${markerKey}', cjson.encode({ stream = stream, epoch = epoch }))
end
`;
const putScript = `${common} write(ARGV[1], 2) return 1`;
const advanceScript = `${common}
local marker = decoded(KEYS[1])
if not marker or marker.stream ~= ARGV[1] or marker.epoch < tonumber(ARGV[2]) then return 0 end
write(ARGV[1], 4)
mark(ARGV[1], tonumber(ARGV[3]))
return 1`;
const chunkScript = `${common} if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end write(ARGV[2], 3) return 1`;
const finishScript = `${common}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
mark(ARGV[2], tonumber(ARGV[3]))
return 1`;

export interface RedisViewOptions {
  redis: Pick<Redis, 'mget' | 'eval' | 'set'>;
  /** Which KILL stream is the truth of this view. */
  stream: string;
  instance: string;
}

export const createRedisView = ({ redis, stream, instance }: RedisViewOptions): View => {
  const building = `kill:building:${instance}`;
  const text = ({ epoch, record: { state, scope: of, reason } }: Order) =>
    JSON.stringify({ stream, epoch, state, scope: of, reason });
  const run = async (script: string, first: string, orders: Order[], args: (string | number)[]): Promise<boolean> => {
    const keys = [first, ...orders.map((o) => keyOf(o.key))];
    return (await answered(redis.eval(script, keys.length, ...keys, ...args, ...orders.map(text)))) === 1;
  };
  return {
    read: async (keys) => {
      const [marker, ...values] = await answered(redis.mget(markerKey, ...keys.map(keyOf)));
      const orders = new Map<string, ViewOrder>();
      for (const [i, key] of keys.entries()) {
        const order = open(orderValue, values[i]);
        if (order === 'malformed') return { marker: undefined, orders: new Map() };
        if (order?.stream === stream) orders.set(key, order);
      }
      const valid = open(markerValue, marker);
      return { marker: valid === 'malformed' ? undefined : valid, orders };
    },
    put: async (order) => {
      await run(putScript, markerKey, [order], [stream]);
    },
    advance: (orders, from, to) => run(advanceScript, markerKey, orders, [stream, from, to]),
    rebuild: async (orders, epoch) => {
      const token = randomUUID();
      await answered(redis.set(building, token, 'EX', buildingTtlS));
      for (let i = 0; i < orders.length; i += chunk) {
        if (!(await run(chunkScript, building, orders.slice(i, i + chunk), [token, stream]))) return false;
      }
      return run(finishScript, building, [], [token, stream, epoch]);
    },
  };
};

const open = <T>(schema: z.ZodType<T>, text: string | null | undefined): T | 'malformed' | undefined => {
  if (text === null || text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return 'malformed';
  }
};

const answered = async <T>(reply: Promise<T>): Promise<T> => {
  try {
    return await reply;
  } catch (cause) {
    throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', 'the kill view in Redis cannot be reached', { cause });
  }
};
