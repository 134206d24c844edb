import { type Containment, containment, type TellingCode } from '@agentgate/contracts';
import type { Happening } from '../src/happening.ts';
import { compileRules } from '../src/rules.ts';
import { createWatch, type Watch } from '../src/watch.ts';
import { emptyState, forRules, type WatchState } from '../src/watch-state.ts';

export const began = Date.parse('2026-03-01T12:00:00Z');
export const sessionOf = (n: number) => `ses_${String(n).padStart(10, '0')}`;
export const eventOf = (n: number) => `evt_${String(n).padStart(10, '0')}`;

/** The rules as agentgate.yaml would give them. */
export const rulesOf = (more: object) => compileRules(containment.parse(more));
export type { Containment };

type By = { tenant?: string; agent?: string; session?: string | null };
/** A watch, and what happens before it: each event has the next index and an id of its own. */
export const createScene = (rules: object, state?: WatchState) => {
  const compiled = rulesOf(rules);
  const watch: Watch = createWatch(compiled, forRules(state ?? emptyState(), compiled.digest));
  let index = watch.index();
  const scene = {
    watch,
    /** Seconds since the beginning. */
    at: 0,
    happen: (what: Record<string, unknown> & { kind: string; by?: By | undefined }) => {
      const { tenant = 'default', agent = 'demo', session = sessionOf(1) } = what.by ?? {};
      index++;
      const by = { tenant, agent, ...(session !== null && { session }) };
      const happening = { id: eventOf(index), at: began + scene.at * 1_000, ...what, by } as unknown as Happening;
      watch.take(index, happening);
      return { index, happening };
    },
    refuse: (by?: By, refused: TellingCode = 'NO_GRANT', tool = 'files/read') =>
      scene.happen({ kind: 'decided', tool, refused, baits: [], by }),
    call: (tool: string, failed: boolean, by?: By, risk: string[] = failed ? ['tool_error'] : []) =>
      scene.happen({ kind: 'completed', tool, failed, risk, by }),
    lift: (scope: string) => scene.happen({ kind: 'lifted', scope }),
    scopes: () => watch.pending().map(({ scope }) => `${scope.kind} ${scope.id}`),
  };
  return scene;
};
