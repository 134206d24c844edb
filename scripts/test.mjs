// npm test [-- STEP…]: the set-up, then every step (or those named). The last line says how many passed and failed.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runMain, setUp } from './setup/main.mjs';
import { steps } from './test/steps.mjs';
import { closingLine, sum, toldFailures } from './test/totals.mjs';

const NEEDS_OPA = ['rego', 'bundle'];

const unknownStep = (names) => names.find((name) => !steps.some((step) => step.name === name));

const seconds = (sinceMs) => ((Date.now() - sinceMs) / 1000).toFixed(1);

const runStep = async (context, { step, reports }) => {
  console.log(`\n── ${step.name}`);
  const begun = Date.now();
  const counts = await step.run(context, reports).catch((error) => {
    console.error(error);
    return { passed: 0, failed: 1, skipped: 0 };
  });
  return { name: step.name, ...counts, seconds: seconds(begun) };
};

const row = (name, passed, failed, skipped, time) =>
  `${name.padEnd(13)}${[passed, failed, skipped, time].map((each) => String(each).padStart(9)).join('')}`;

const printTable = (results) => {
  console.log(`\n${row('step', 'passed', 'failed', 'skipped', 'seconds')}`);
  for (const each of results) console.log(row(each.name, each.passed, each.failed, each.skipped, each.seconds));
};

process.exitCode = await runMain(async (context) => {
  const names = process.argv.slice(2);
  if (unknownStep(names) !== undefined) {
    console.error(
      `There is no step ${unknownStep(names)}. The steps are: ${steps.map(({ name }) => name).join(', ')}.`,
    );
    return 2;
  }
  const todo = steps.filter(({ name }) => names.length === 0 || names.includes(name));
  const reports = await mkdtemp(join(tmpdir(), 'agentgate-reports-'));
  try {
    const begun = Date.now();
    await setUp(context, { withOpa: todo.some((step) => NEEDS_OPA.includes(step.name)) });
    console.log(`set-up done in ${seconds(begun)} s`);
    const results = [];
    for (const step of todo) {
      results.push(await runStep(context, { step, reports }));
      if (context.isStopped()) return 1;
    }
    printTable(results);
    const failures = results.flatMap((each) => each.failures ?? []);
    if (failures.length > 0) console.log(`\n${toldFailures(failures, context.root)}`);
    const total = sum(results);
    console.log(`\n${closingLine(total)}`);
    return total.failed === 0 ? 0 : 1;
  } finally {
    await rm(reports, { recursive: true, force: true });
  }
});
