import { AgentGateError, type KillReceipt } from '@agentgate/contracts';
import { createCounter, createGauge } from '@agentgate/runtime';
import { Counter, type Registry } from 'prom-client';
import type { createCheck } from './check.ts';
import type { Orders } from './orders.ts';
import type { Points } from './points.ts';
import type { ViewSync } from './view-sync.ts';

type Check = ReturnType<typeof createCheck>;
type Answer = Awaited<ReturnType<Check>>[number];

const kindOf = (answer: Answer) => (answer instanceof AgentGateError ? 'refused' : answer.killed ? 'killed' : 'clear');

export const createMeters = (
  registry: Registry,
  { orders, points, sync }: { orders: Orders; points: Points; sync: ViewSync },
) => {
  const registers = [registry];
  const gauge = (name: string, help: string, value: () => number) => createGauge(registry, name, help, value);
  gauge('agentgate_kill_epoch', 'The sequence of the KILL stream up to which it was followed.', orders.epoch);
  gauge('agentgate_kills_active', 'Scopes that are killed.', () => orders.active().length);
  gauge('agentgate_kill_points', 'Enforcement points that are known to run.', () => points.known().length);
  gauge('agentgate_kill_view_ready', '1 while the view in Redis holds every order.', () => (sync.ready() ? 1 : 0));
  const countCheck = createCounter(registry, {
    name: 'agentgate_kill_checks_total',
    help: 'Checks by their answer.',
    labelNames: ['answer'],
  });
  const counted =
    (check: Check): Check =>
    async (calls) => {
      const answers = await check(calls);
      for (const answer of answers) countCheck(kindOf(answer));
      return answers;
    };
  const receipts = new Counter({
    name: 'agentgate_kill_receipts_total',
    help: 'Receipts by whether everything in scope is contained. One that is not is an alarm.',
    labelNames: ['contained'],
    registers,
  });
  for (const contained of ['true', 'false']) receipts.inc({ contained }, 0);
  const onReceipt = ({ contained }: Pick<KillReceipt, 'contained'>) => receipts.inc({ contained: String(contained) });
  return { counted, onReceipt };
};
