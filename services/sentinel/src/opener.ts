import type { Log } from '@agentgate/bus';
import type { Incidents } from './incidents.ts';
import type { Watch } from './watch.ts';

/** Turns what the watch has found into incidents, one attempt at a time for each; what fails stays pending and is tried at the next wake. */
export interface Opener {
  wake(): void;
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
  return {
    wake: () => {
      if (!isReady()) return;
      for (const trigger of watch.pending()) {
        if (working.has(trigger.id)) continue;
        const work = incidents
          .open(trigger)
          .then(() => watch.done(trigger.id))
          .catch((error: unknown) =>
            log.error(
              { err: error, incident: trigger.id, scope: trigger.scope },
              'an incident could not be opened yet',
            ),
          )
          .finally(() => working.delete(trigger.id));
        working.set(trigger.id, work);
      }
    },
    idle: async () => void (await Promise.all(working.values())),
  };
};
