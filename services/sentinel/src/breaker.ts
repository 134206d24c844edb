import type { BreakerRule } from '@agentgate/contracts';

// How a tool does, by the agents that call it. A breaker stops a tool for everybody of a tenant, so no single agent may trip it alone:
// it looks at what is left without those who did most to it.

const slots = 10;
const agentsMost = 64;
const namedMost = 32;
/** Stands for all agents beyond the bound: they count as one. */
const others = '*';

export interface Gauge {
  /** Per slot of the window and agent: calls, and those of them that failed. */
  slots: { n: number; agents: [agent: string, calls: number, failed: number][] }[];
  /** Of the newest failed calls, or of the newest calls where calls are counted. */
  ids: string[];
}
export const emptyGauge = (): Gauge => ({ slots: [], ids: [] });

/** Adds a call; why the breaker trips, if it does. */
export const gauged = (
  gauge: Gauge,
  { id, at, agent, failed }: { id: string; at: number; agent: string; failed: boolean },
  rule: BreakerRule,
): string | undefined => {
  const n = Math.floor(at / ((rule.window_s * 1_000) / slots));
  const newest = gauge.slots.reduce((most, slot) => Math.max(most, slot.n), n);
  gauge.slots = gauge.slots.filter((slot) => slot.n > newest - slots);
  if (n <= newest - slots) return undefined;
  let slot = gauge.slots.find((each) => each.n === n);
  if (!slot) {
    slot = { n, agents: [] };
    gauge.slots.push(slot);
  }
  const known = slot.agents.find(([name]) => name === agent);
  const name = known || slot.agents.length < agentsMost ? agent : others;
  const row = slot.agents.find((each) => each[0] === name);
  if (row) {
    row[1] += 1;
    row[2] += failed ? 1 : 0;
  } else slot.agents.push([name, 1, failed ? 1 : 0]);
  if (failed || rule.budget !== undefined) gauge.ids = [...gauge.ids, id].slice(-namedMost);
  return whyTripped(gauge, rule);
};

const whyTripped = (gauge: Gauge, { errors, budget, agents, window_s }: BreakerRule): string | undefined => {
  const totals = new Map<string, { calls: number; failed: number }>();
  for (const slot of gauge.slots)
    for (const [agent, calls, failed] of slot.agents) {
      const before = totals.get(agent) ?? { calls: 0, failed: 0 };
      totals.set(agent, { calls: before.calls + calls, failed: before.failed + failed });
    }
  const without = (most: 'calls' | 'failed') =>
    [...totals.values()].sort((a, b) => b[most] - a[most]).slice(agents - 1);
  const sum = (rows: { calls: number; failed: number }[], what: 'calls' | 'failed') =>
    rows.reduce((all, row) => all + row[what], 0);
  if (budget !== undefined) {
    const calls = sum(without('calls'), 'calls');
    if (calls > budget) return `more than ${budget} calls within ${window_s} s`;
  }
  if (errors) {
    const rest = without('failed');
    const [calls, failed] = [sum(rest, 'calls'), sum(rest, 'failed')];
    if (calls >= errors.calls && failed / calls >= errors.share)
      return `${failed} of ${calls} calls failed within ${window_s} s`;
  }
  return undefined;
};
