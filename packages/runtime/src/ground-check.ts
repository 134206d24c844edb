import type { Bus } from '@agentgate/bus';
import { streamDifference } from '@agentgate/bus';
import { natsFloor, type StreamSpec, serverStorage } from '@agentgate/contracts';
import { z } from 'zod';
import { StartError } from './base-config.ts';

const numbers = (version: string) => version.split(/[.-]/).slice(0, 3).map(Number);
export const isOlder = (version: string, floor: string): boolean => {
  const [a, b] = [numbers(version), numbers(floor)];
  for (let i = 0; i < 3; i++) if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) < (b[i] ?? 0);
  return false;
};

const storage = z.object({ data: z.object({ config: z.object({ sync_always: z.boolean().optional() }) }) });

/**
 * Refuses a server that is too old (older ones silently ignore options that our promises rest on) and one that acknowledges
 * before it has fsynced (`sync_interval` is not `always`), where a crash would lose acknowledged evidence and kill orders.
 */
export const requireServer = async (bus: Pick<Bus, 'server' | 'requestRaw'>): Promise<void> => {
  const { version } = bus.server();
  if (version === '' || isOlder(version, natsFloor))
    throw new StartError(`nats-server ${version || 'of unknown version'} is older than ${natsFloor}`);
  const told = await bus.requestRaw(serverStorage, '', { of: 'nats-server', timeoutMs: 5_000 });
  const parsed = storage.safeParse(JSON.parse(new TextDecoder().decode(told)));
  if (!parsed.success) throw new StartError('nats-server does not say how it keeps streams');
  if (parsed.data.data.config.sync_always !== true)
    throw new StartError('nats-server acknowledges before it has fsynced: set jetstream { sync_interval: always }');
};

/** Refuses a stream that is not what we rely on, naming the difference. */
export const requireStream = async (bus: Pick<Bus, 'streamInfo'>, spec: StreamSpec): Promise<void> => {
  const difference = streamDifference(spec, (await bus.streamInfo(spec.name)).config);
  if (difference !== undefined) throw new StartError(`stream ${spec.name}: ${difference}`);
};
