import { type Slot, type SlotOptions, type SlotResult, startSlot } from './slot.ts';

/**
 * Two workers: one decides, one is warm for when that one is lost. Where another revision is loaded beside this one, it takes the place of the
 * warm one, so that there are never more than two at rest.
 */
export interface Workers {
  /** One batch at a time. `none`: no worker is loaded, so nothing was tried. */
  attempt(inputs: string[]): Promise<SlotResult | { kind: 'none'; why: string }>;
  /** Workers that had to be ended. */
  readonly lost: number;
  /** Ends the warm one, until `keepSpare`. */
  dropSpare(): Promise<void>;
  keepSpare(): void;
  end(): Promise<void>;
}

export interface WorkersLog {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** How long a batch waits for a worker when both were lost. */
const respawnMs = 1_000;

/** Resolves once the policy is loaded; rejects where it cannot be. */
export const startWorkers = async (
  { spare: withSpare, ...options }: SlotOptions & { spare: boolean },
  log: WorkersLog,
): Promise<Workers> => {
  let current = startSlot(options);
  let spare = withSpare ? startSlot(options) : undefined;
  let keeping = withSpare;
  let lost = 0;
  let ended = false;
  const end = async () => {
    ended = true;
    await Promise.all([current.end(), spare?.end()]);
  };
  try {
    await Promise.all([current.ready, spare?.ready]);
  } catch (error) {
    await end();
    throw error;
  }
  const replace = (slot: Slot, why: string) => {
    if (ended) return;
    lost++;
    log.warn({ why, lost }, 'an evaluation was cut off, and its worker ended');
    slot.end().catch((error: unknown) => log.error({ err: error }, 'a worker did not end'));
    current = spare ?? startSlot(options);
    spare = keeping ? startSlot(options) : undefined;
  };
  return {
    get lost() {
      return lost;
    },
    attempt: async (inputs) => {
      const slot = current;
      const state = slot.isReady() ? 'done' : await within(respawnMs, slot.ready);
      // One that is still loading is not ended: a slow machine would never get a new one.
      if (state === 'late') return { kind: 'none', why: 'it is being loaded anew' };
      if (state === 'failed') {
        replace(slot, 'the policy could not be loaded anew');
        return { kind: 'none', why: 'it could not be loaded anew' };
      }
      const result = await slot.run(inputs);
      if (result.kind === 'lost') replace(slot, result.why);
      return result;
    },
    dropSpare: async () => {
      const dropped = spare;
      keeping = false;
      spare = undefined;
      await dropped?.end();
    },
    keepSpare: () => {
      keeping = true;
      if (!ended) spare ??= startSlot(options);
    },
    end,
  };
};

const within = async (ms: number, ready: Promise<void>): Promise<'done' | 'failed' | 'late'> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), ms);
  });
  const settled = ready.then(
    () => 'done' as const,
    () => 'failed' as const,
  );
  const state = await Promise.race([settled, late]);
  clearTimeout(timer);
  return state;
};
