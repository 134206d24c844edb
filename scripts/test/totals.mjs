// Counts out of the machine-readable reports of the test runners. A report that is missing or that says of itself
// that something went wrong is one failure at least: a run that did not happen must never look like one that passed.

const none = { passed: 0, failed: 0, skipped: 0 };

/** The exit code has the last word. */
const withExitCode = (counts, code) => (code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts);

/** A check that is one thing: it passed or it failed. */
export const fromExitCode = (code) => (code === 0 ? { ...none, passed: 1 } : { ...none, failed: 1 });

/** Vitest's JSON report. A file that could not even be loaded holds no test, so it is counted itself. */
export const fromVitest = (report, code) => {
  if (report === undefined) return { ...none, failed: 1 };
  const unloadable = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  );
  const counts = {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloadable.length,
    skipped: report.numPendingTests + report.numTodoTests,
    failures: [
      ...unloadable.map(({ name, message }) => ({ name, why: message })),
      ...report.testResults.flatMap(failuresIn),
    ],
  };
  return counts.passed + counts.failed === 0 ? { ...counts, failed: 1 } : withExitCode(counts, code);
};

const failuresIn = ({ name, assertionResults }) =>
  assertionResults
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages }) => ({ name: `${name} > ${fullName}`, why: failureMessages[0] }));

/** The closing lines of node's TAP reporter. */
export const fromTap = (tap, code) => {
  const count = (word) => Number(new RegExp(`^# ${word} (\\d+)$`, 'm').exec(tap)?.[1] ?? 0);
  const counts = { passed: count('pass'), failed: count('fail'), skipped: count('skipped') + count('todo') };
  return counts.passed + counts.failed === 0 ? { ...counts, failed: 1 } : withExitCode(counts, code);
};

/** `opa test --format json`: a list of results, empty when it found no test. */
export const fromOpa = (results, code) => {
  if (!Array.isArray(results) || results.length === 0) return { ...none, failed: 1 };
  const skipped = results.filter((each) => each.skip).length;
  const failed = results.filter((each) => each.fail || each.error).length;
  return withExitCode({ passed: results.length - skipped - failed, failed, skipped }, code);
};

export const sum = (all) =>
  all.reduce(
    (total, each) => ({
      passed: total.passed + each.passed,
      failed: total.failed + each.failed,
      skipped: total.skipped + each.skipped,
    }),
    none,
  );

const whyLines = 6;

/** Named once more at the end, since what they printed when they failed is far up by then. */
export const toldFailures = (failures, root) =>
  failures
    .map(({ name, why }) => {
      const lines = String(why ?? '')
        .split('\n')
        .slice(0, whyLines);
      return [`✗ ${name.replace(`${root}/`, '')}`, ...lines.map((line) => `    ${line}`)].join('\n');
    })
    .join('\n');

export const closingLine = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
