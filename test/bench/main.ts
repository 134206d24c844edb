import { parseArgs } from 'node:util';
import { benchCalls } from './calls.ts';
import { benchContainment } from './containment/bench.ts';
import { benchKill } from './kill.ts';
import { benchLeases } from './leases.ts';
import { benchPolicy } from './policy.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '5' },
    data: { type: 'string' },
    config: { type: 'string' },
  },
});
const suite = positionals[0] ?? 'calls';
const suites: Record<string, () => Promise<boolean>> = {
  calls: () => benchCalls({ seconds: Number(values.seconds), json: values.json }),
  kill: () => benchKill({ json: values.json }),
  leases: () => benchLeases({ json: values.json }),
  policy: () => benchPolicy({ json: values.json }),
  containment: () => benchContainment({ ...values, data: values.data ?? '' }),
};
const run = suites[suite];
if (!run) {
  process.stderr.write(`no benchmark is named ${suite}; there is: ${Object.keys(suites).join(', ')}\n`);
  process.exitCode = 2;
} else if (!(await run())) process.exitCode = 1;
