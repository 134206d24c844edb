import type { Bus } from '@agentgate/bus';
import { streamDifference } from '@agentgate/bus';
import { natsFloor, type StreamSpec } from '@agentgate/contracts';
import { StartError } from './base-config.ts';

const numbers = (version: string) => version.split(/[.-]/).slice(0, 3).map(Number);
export const isOlder = (version: string, floor: string): boolean => {
  const [a, b] = [numbers(version), numbers(floor)];
  for (let i = 0; i < 3; i++) if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) < (b[i] ?? 0);
  return false;
};

/** Refuses a server that is too old: older ones silently ignore options that our promises rest on. */
export const requireServer = (bus: Pick<Bus, 'server'>): void => {
  const { version } = bus.server();
  if (version === '' || isOlder(version, natsFloor))
    throw new StartError(`nats-server ${version || 'of unknown version'} is older than ${natsFloor}`);
};

/** Refuses a stream that is not what we rely on, naming the difference. */
export const requireStream = async (bus: Pick<Bus, 'streamInfo'>, spec: StreamSpec): Promise<void> => {
  const difference = streamDifference(spec, (await bus.streamInfo(spec.name)).config);
  if (difference !== undefined) throw new StartError(`stream ${spec.name}: ${difference}`);
};
