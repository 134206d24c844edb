import type { ProducerName } from './log-store.ts';

/** Producers say each 10 s that they live; five of six may be late. */
const silentTicks = 60;

/**
 * Finds producers that fell silent without saying that they stop. Time is counted in ticks at which everything published was taken,
 * so neither a lag of audit nor a machine that slept is anybody's silence.
 */
export const createSilenceWatch = () => {
  let quiet = new Map<string, number>();
  const keyOf = ({ source, epoch }: ProducerName) => `${source} ${epoch}`;
  return {
    heard: (producer: ProducerName) => void quiet.set(keyOf(producer), 0),
    /** Those of the living that have been silent for too long. */
    tick: (alive: readonly ProducerName[]): ProducerName[] => {
      quiet = new Map(alive.map((producer) => [keyOf(producer), (quiet.get(keyOf(producer)) ?? 0) + 1]));
      return alive.filter((producer) => (quiet.get(keyOf(producer)) ?? 0) > silentTicks);
    },
  };
};
