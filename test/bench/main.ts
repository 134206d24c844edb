import { parseArgs } from 'node:util';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    grown: { type: 'string', default: '0' },
    data: { type: 'string' },
    config: { type: 'string' },
    rounds: { type: 'string', default: '20' },
    standing: { type: 'string', default: '10000' },
    entries: { type: 'string', default: '1000000' },
    events: { type: 'string', default: '10000' },
    batch: { type: 'string', default: '64' },
    trials: { type: 'string', default: '100' },
    runs: { type: 'string', default: '10000' },
    swaps: { type: 'string', default: '100' },
  },
});
const suite = positionals[0] ?? 'calls';
/** Each is loaded when it is asked for: what one needs says nothing in another's output. */
const suites: Record<string, () => Promise<boolean>> = {
  alerts: async () => (await import('./alerts.ts')).benchAlerts({ json: values.json, events: Number(values.events) }),
  calls: async () =>
    (await import('./calls.ts')).benchCalls({ seconds: Number(values.seconds ?? 5), json: values.json }),
  evidence: async () =>
    (await import('./evidence.ts')).benchEvidence({
      seconds: Number(values.seconds ?? 5),
      grown: Number(values.grown),
      json: values.json,
    }),
  kill: async () =>
    (await import('./kill.ts')).benchKill({
      json: values.json,
      rounds: Number(values.rounds),
      standing: Number(values.standing),
    }),
  leases: async () => (await import('./leases.ts')).benchLeases({ json: values.json }),
  mcp: async () => (await import('./mcp.ts')).benchMcp({ seconds: Number(values.seconds ?? 5), json: values.json }),
  policy: async () => (await import('./policy.ts')).benchPolicy({ json: values.json }),
  replay: async () => (await import('./replay.ts')).benchReplay({ json: values.json }),
  swap: async () =>
    (await import('./swap.ts')).benchSwap({
      json: values.json,
      seconds: Number(values.seconds ?? 60),
      swaps: Number(values.swaps),
    }),
  verify: async () =>
    (await import('./verify.ts')).benchVerify({
      json: values.json,
      entries: Number(values.entries),
      batch: Number(values.batch),
    }),
  query: async () => (await import('./query.ts')).benchQuery({ json: values.json, entries: Number(values.entries) }),
  tamper: async () => (await import('./tamper.ts')).benchTamper({ json: values.json, trials: Number(values.trials) }),
  clean: async () => (await import('./tamper.ts')).benchClean({ json: values.json, runs: Number(values.runs) }),
  containment: async () =>
    (await import('./containment/bench.ts')).benchContainment({ ...values, data: values.data ?? '' }),
};
const run = suites[suite];
if (!run) {
  process.stderr.write(`no benchmark is named ${suite}; there is: ${Object.keys(suites).join(', ')}\n`);
  process.exitCode = 2;
} else if (!(await run())) process.exitCode = 1;
