import { createHash } from 'node:crypto';
import { AgentGateError, type CredentialOf } from '@agentgate/contracts';
import { Redis, type RedisOptions, ReplyError } from 'ioredis';
import pLimit from 'p-limit';
import { filled, type LeaseOrder, type Provider, rulesOf, unavailable } from '../provider.ts';
import type { LeaseSecrets } from '../secrets.ts';
import { bareCause } from './bare-cause.ts';
import type { ReadSecret } from './secret-source.ts';

interface RedisAclOptions {
  credential: string;
  config: CredentialOf<'redis-acl'>;
  read: ReadSecret;
  secrets: LeaseSecrets;
}

const commandMs = 2_000;

/**
 * A user a lease, with a selector for each rule that its scope covers (Redis 7, ACL SETUSER). Redis knows no expiry of users: they end by
 * ACL DELUSER alone, which closes their connections, too.
 */
export const createRedisAclProvider = (opts: RedisAclOptions): Provider => {
  const { config, secrets } = opts;
  const admin = createStanding(opts);
  const door = createDoor(opts);
  return {
    kind: 'redis-acl',
    mint: (order) =>
      admin.work('was not made', async (redis, url) => {
        const user = secrets.nameOf(order.permit);
        const password = secrets.password(order.permit);
        const hash = createHash('sha256').update(password).digest('hex');
        // The hash alone: the password is in no command.
        await redis.call('ACL', 'SETUSER', user, 'reset', 'on', `#${hash}`, ...selectorsOf(config, order));
        const mine = urlAs(url, user, password);
        const { hostname: host, port } = new URL(mine);
        return {
          parts: { secret: mine, url: mine, host, port: port || '6379', user, password },
          hidden: ['secret', 'url', 'password'],
        };
      }),
    // It has no expiry of its own: the lease's record is what ends it.
    renew: async () => undefined,
    revoke: ({ permit }) =>
      admin.work('was not ended', async (redis) => {
        await redis.call('ACL', 'DELUSER', secrets.nameOf(permit));
      }),
    probe: ({ permit }) =>
      admin.work('could not be tried', async (redis) => {
        const user = secrets.nameOf(permit);
        const connections = String(await redis.call('CLIENT', 'LIST'))
          .split('\n')
          .filter((line) => line.includes(` user=${user} `)).length;
        const login = await door.tryLogin(user, secrets.password(permit));
        const state = login === 'refused' && connections === 0 ? 'refused' : 'alive';
        return { state, detail: `login ${login}, ${connections} connections` };
      }),
    list: () =>
      admin.work('was not listed', async (redis) => {
        const users = (await redis.call('ACL', 'USERS')) as string[];
        return { permits: users.flatMap((user) => secrets.permitOf(user) ?? []), complete: true };
      }),
    close: async () => {
      await Promise.all([admin.close(), door.close()]);
    },
  };
};

const selectorsOf = ({ rules }: CredentialOf<'redis-acl'>, order: LeaseOrder): string[] => {
  const covered = rulesOf(rules, order.scope);
  if (covered.length === 0) throw unavailable(order.credential, 'has no rule for this scope');
  return covered.map(({ keys, channels, commands }) => {
    const words = [
      '-@all',
      ...keys.map((key) => `~${filled(key, order)}`),
      ...channels.map((channel) => `&${filled(channel, order)}`),
      ...commands.map((command) => `+${command}`),
    ];
    return `(${words.join(' ')})`;
  });
};

const urlAs = (admin: string, user: string, password: string): string => {
  const url = new URL(admin);
  url.username = user;
  url.password = password;
  return url.href;
};

/** Nobody in particular, in no database: both would have to log in. */
const urlOfDoor = (admin: string): string => {
  const url = new URL(urlAs(admin, '', ''));
  url.pathname = '';
  return url.href;
};

const open = (url: string, options?: Pick<RedisOptions, 'protocol'>): Redis => {
  const redis = new Redis(url, {
    ...options,
    lazyConnect: true,
    enableReadyCheck: false,
    enableOfflineQueue: false,
    commandTimeout: commandMs,
    connectTimeout: commandMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    disableClientInfo: true,
  });
  redis.on('error', () => {});
  return redis;
};

/** One connection to the administrator's Redis that stands, made anew when it broke or when its URL was changed. */
const createStanding = (
  { credential, config, read }: RedisAclOptions,
  { urlOf = (admin) => admin, ...options }: { urlOf?: (admin: string) => string } & Pick<RedisOptions, 'protocol'> = {},
) => {
  let current: Connection | undefined;
  let isClosed = false;
  /** The next work gets another connection. What is under way on this one ends first. */
  const leave = (connection: Connection) => {
    connection.isLeft = true;
    if (current === connection) current = undefined;
    closeLeft(connection);
  };
  const connectionTo = (url: string): Connection => {
    // What waited for its turn would open one that nobody closes.
    if (isClosed) throw unavailable(credential, 'is closed');
    if (current && (current.url !== url || current.redis.status === 'end')) leave(current);
    if (!current) {
      const redis = open(url, options);
      current = { url, redis, opened: redis.connect(), works: 0, isLeft: false };
    }
    return current;
  };
  const workOn = async <T>(connection: Connection, work: Work<T>): Promise<T> => {
    connection.works++;
    try {
      await connection.opened;
      return await work(connection.redis, connection.url, () => leave(connection));
    } catch (error) {
      if (!(error instanceof ReplyError || error instanceof AgentGateError)) leave(connection);
      throw error;
    } finally {
      connection.works--;
      closeLeft(connection);
    }
  };
  return {
    work: async <T>(failure: string, work: Work<T>): Promise<T> => {
      try {
        return await workOn(connectionTo(urlOf(await read(config.admin))), work);
      } catch (error) {
        if (error instanceof AgentGateError) throw error;
        // What Redis says may quote the command, and with it the hash of the password.
        const reason = error instanceof ReplyError ? 'Redis refused' : 'Redis does not answer';
        throw unavailable(credential, `${failure}: ${reason}`, bareCause(error));
      }
    },
    close: async () => {
      isClosed = true;
      current?.redis.disconnect();
    },
  };
};

interface Connection {
  readonly url: string;
  readonly redis: Redis;
  readonly opened: Promise<void>;
  /** Under way on it. */
  works: number;
  isLeft: boolean;
}
type Work<T> = (redis: Redis, url: string, leave: () => void) => Promise<T>;

const closeLeft = ({ redis, works, isLeft }: Connection) => {
  if (isLeft && works === 0) redis.disconnect();
};

/**
 * Logins that are tried at once: Redis closes a connection that is nobody's once 1,024 bytes of answers wait on it, as little as 16 refusals
 * (CVE-2025-21605).
 */
const loginsAtOnce = 8;

/** Nobody's connection, where logins are tried: a new one for each would take most of the time of a kill. RESP 3 begins with a HELLO that wants a login. */
const createDoor = (opts: RedisAclOptions) => {
  const door = createStanding(opts, { urlOf: urlOfDoor, protocol: 2 });
  const inTurn = pLimit(loginsAtOnce);
  const login = (user: string, password: string, isAgain = false): Promise<'taken' | 'refused'> =>
    door.work('could not be tried', async (redis, _, leave) => {
      try {
        await redis.call('AUTH', user, password);
      } catch (error) {
        const { message } = error as Error;
        if (error instanceof ReplyError && message.startsWith('WRONGPASS')) return 'refused';
        if (isAgain || error instanceof ReplyError || message === 'Command timed out') throw error;
        // Redis ends the connection, with all that is under way on it, when it ends the user who got in on it.
        leave();
        return login(user, password, true);
      }
      leave();
      return 'taken';
    });
  return {
    tryLogin: (user: string, password: string) => inTurn(() => login(user, password)),
    close: door.close,
  };
};
