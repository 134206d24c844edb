import { type BucketEntry, type Bus, WrongRevision } from '@agentgate/bus';
import { buckets, toolKey, toolOfKey, toolPin } from '@agentgate/contracts';
import type { HeldPin, PinStore } from '../pins/pins.ts';

export interface PinsBucket extends PinStore {
  close(): Promise<void>;
}

/** The pins in bucket PINS: read once, followed from then on, written by compare-and-set. Nothing is ever taken out. */
export const openPinsBucket = async (bus: Pick<Bus, 'bucket'>): Promise<PinsBucket> => {
  const bucket = bus.bucket(buckets.pins);
  const held = new Map<string, HeldPin>();
  const counts = new Map<string, number>();
  const take = ({ key, value, revision, operation }: BucketEntry) => {
    const tool = toolOfKey(key);
    if (tool === undefined) return;
    const known = held.get(tool);
    if (known && known.revision >= revision) return;
    if (!known) counts.set(serverOf(tool), (counts.get(serverOf(tool)) ?? 0) + 1);
    // A pin that somebody took out is one that cannot be read: its tool is not trusted on first use a second time.
    held.set(tool, { pin: operation === 'PUT' ? pinIn(value, tool) : undefined, revision });
  };
  const follower = await bucket.watch(take);
  return {
    get: (tool) => held.get(tool),
    read: async (tool) => {
      const entry = await bucket.get(toolKey(tool));
      if (entry) take(entry);
      return held.get(tool);
    },
    *all() {
      for (const { pin } of held.values()) if (pin) yield pin;
    },
    count: (server) => counts.get(server) ?? 0,
    write: async (pin, before) => {
      const key = toolKey(pin.tool);
      const value = JSON.stringify(pin);
      try {
        const revision = before ? await bucket.update(key, value, before.revision) : await bucket.create(key, value);
        take({ key, value: Buffer.from(value), revision, operation: 'PUT' });
        return true;
      } catch (error) {
        if (error instanceof WrongRevision) return false;
        throw error;
      }
    },
    close: () => follower.close(),
  };
};

const serverOf = (tool: string) => tool.slice(0, tool.indexOf('/'));

/** Under another's key it is nobody's. */
const pinIn = (value: Uint8Array, tool: string): HeldPin['pin'] => {
  try {
    const parsed = toolPin.safeParse(JSON.parse(new TextDecoder().decode(value)));
    return parsed.success && parsed.data.tool === tool ? parsed.data : undefined;
  } catch {
    return undefined;
  }
};
