import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { ServiceName } from '@agentgate/contracts';
import { readIfThere, writePrivate } from './private-file.ts';

/** Which keys are whose. A service that is not named has no user and no password. */
const keysOf: Partial<Record<ServiceName, string[]>> = {
  ingress: ['idem:*'],
  policy: ['ses:*', 'mem:*', 'taint:*', 'wrote:*', 'rate:*'],
  'kill-switch': ['kill:*'],
  'tool-runner': ['permit:*'],
};
export const redisUsers = Object.keys(keysOf) as ServiceName[];

/**
 * Values, hashes, sets (sorted ones, too) and scripts on keys of one's own. Nothing lists keys (a listing shows other services' names), nothing
 * flushes, configures or listens. INFO is what the client asks before its first command.
 */
const commands = [
  '-@all +@string +@hash +@set +@sortedset +@transaction +@connection +del +unlink +exists +expire +pexpire +expireat +pexpireat +persist +ttl +pttl +time',
  '+eval +evalsha +eval_ro +evalsha_ro +script|load +script|exists -@dangerous -select -swapdb +info',
].join(' ');

/**
 * Nobody can be this user: it is off and has no password. But Redis replays its append-only file in its name, and what it may not
 * do is left out of a transaction's replay: without these rights every script's writes would be gone after a restart.
 */
const defaultUser = 'user default off resetpass resetchannels ~* +@all';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const urlFile = (home: string, service: string) => join(home, 'keys', 'redis', `${service}.url`);

export interface RedisAddress {
  port: number;
  /** Where services find it. */
  host: string;
  /** The address that it listens on. */
  listen: string;
}

export interface RedisFiles {
  conf: string;
  /** Holds redis://user:password@host:port. */
  urlFile(service: ServiceName): string;
  url(service: ServiceName): string;
}

/** Writes redis.conf, the users with their passwords (made once) as digests, and each service's URL. */
export const layRedis = (home: string, address: RedisAddress): RedisFiles => {
  const { host, port } = address;
  const users = redisUsers.map((service) => {
    const before = readIfThere(urlFile(home, service))?.trim();
    const password = before ? new URL(before).password : randomBytes(24).toString('base64url');
    const url = `redis://${service}:${password}@${host}:${port}`;
    if (url !== before) writePrivate(urlFile(home, service), `${url}\n`);
    return {
      service,
      url,
      line: `user ${service} on #${sha256(password)} resetchannels ${(keysOf[service] ?? []).map((k) => `~${k}`).join(' ')} ${commands}`,
    };
  });
  const acl = join(home, 'keys', 'redis', 'users.acl');
  writePrivate(acl, [defaultUser, ...users.map((u) => u.line), ''].join('\n'));
  const conf = join(home, 'redis.conf');
  writePrivate(conf, redisConf(home, address, acl));
  return {
    conf,
    urlFile: (service) => urlFile(home, service),
    url: (service) => {
      const user = users.find((u) => u.service === service);
      if (!user) throw new Error(`${service} has no user in Redis`);
      return user.url;
    },
  };
};

const quoted = (path: string) => `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

const redisConf = (
  home: string,
  { port, listen }: RedisAddress,
  acl: string,
) => `# Written by agentgate; changes are lost.
bind ${listen}
port ${port}
protected-mode yes
daemonize no
dir ${quoted(join(home, 'redis'))}
aclfile ${quoted(acl)}
appendonly yes
appendfsync everysec
save ""
# Facts and kill views must not be dropped to make room: without room, writes fail and calls are denied.
maxmemory 1gb
maxmemory-policy noeviction
tcp-keepalive 60
timeout 0
`;
