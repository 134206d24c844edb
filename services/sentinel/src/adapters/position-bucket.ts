import { type Bus, WrongRevision } from '@agentgate/bus';
import { buckets } from '@agentgate/contracts';
import { z } from 'zod';
import { emptyState, type WatchState, watchState } from '../watch-state.ts';

/** How far EVIDENCE was read, and what was counted until there. */
export interface Position {
  /** The sequence in EVIDENCE. */
  seq: number;
  state: WatchState;
}

export interface Positions {
  /** Undefined where nobody has read anything yet. */
  load(): Promise<Position | undefined>;
  /** Another replica's that is further on stays. */
  save(position: Position): Promise<void>;
}

const key = 'watch';
/** Below what one message may hold. Beyond it, agents and tools of which least was heard lately are left out: a restart forgets what they had done. */
const bytesMost = 4 * 1024 * 1024;

const stored = z.object({ v: z.literal(1), seq: z.int().min(0), index: z.int().min(-1), state: z.unknown() });

export const createPositionBucket = (
  bus: Pick<Bus, 'bucket'>,
  log: { error(fields: object, message: string): void },
): Positions => {
  const bucket = bus.bucket(buckets.sentinel);
  const read = async () => {
    const entry = await bucket.get(key);
    if (entry?.operation !== 'PUT') return { revision: entry?.revision ?? 0, found: undefined };
    return { revision: entry.revision, found: stored.parse(JSON.parse(new TextDecoder().decode(entry.value))) };
  };
  return {
    load: async () => {
      const { found } = await read();
      if (!found) return undefined;
      const state = watchState.safeParse(found.state);
      if (!state.success) log.error({ err: state.error }, 'what was counted cannot be read: counting begins anew');
      return { seq: found.seq, state: state.success ? state.data : emptyState(found.index) };
    },
    save: async ({ seq, state }) => {
      const { revision, found } = await read();
      if (found && found.index >= state.index) return;
      try {
        await bucket.update(key, encode(seq, state), revision);
      } catch (error) {
        if (!(error instanceof WrongRevision)) throw error;
      }
    },
  };
};

/** Who is stopped, and who is to be, is bounded well below it and always stays. */
const encode = (seq: number, state: WatchState): string => {
  for (let { agents, gauges } = state; ; agents = laterHalf(agents), gauges = laterHalf(gauges)) {
    const text = JSON.stringify({ v: 1, seq, index: state.index, state: { ...state, agents, gauges } });
    if (Buffer.byteLength(text) <= bytesMost || agents.length + gauges.length === 0) return text;
  }
};
const laterHalf = <T>(all: readonly T[]): T[] => all.slice(Math.ceil(all.length / 2));
