import type { Log } from '@agentgate/bus';
import type { Incidents } from './incidents.ts';
import type { Watch } from './watch.ts';

/** Turns what the watch has found into incidents, one attempt at a time for each. What fails stays pending until `retry`. */
export interface Opener {
  /** Takes up what is new. */
  wake(): void;
  /** Takes up what failed, too. */
  retry(): void;
  /** Resolves once nothing is on its way. */
  idle(): Promise<void>;
}

export interface OpenerDeps {
  watch: Pick<Watch, 'pending' | 'done'>;
  incidents: Pick<Incidents, 'open'>;
  /** While old events are read, nobody is stopped: a later one may say that somebody has looked already. */
  isReady(): boolean;
  log: Log;
}

export const createOpener = ({ watch, incidents, isReady, log }: OpenerDeps): Opener => {
  const working = new Map<string, Promise<void>>();
  /** Waits for `retry`: each event of a flood would ask again otherwise. */
  const failed = new Set<string>();
  const wake = () => {
    if (!isReady()) return;
    for (const trigger of watch.pending()) {
      if (working.has(trigger.id) || failed.has(trigger.id)) continue;
      const work = incidents
        .open(trigger)
        .then(() => watch.done(trigger.id))
        .catch((error: unknown) => {
          failed.add(trigger.id);
          log.error({ err: error, incident: trigger.id, scope: trigger.scope }, 'an incident could not be opened yet');
        })
        .finally(() => working.delete(trigger.id));
      working.set(trigger.id, work);
    }
  };
  return {
    wake,
    retry: () => {
      failed.clear();
      wake();
    },
    idle: async () => void (await Promise.all(working.values())),
  };
};
