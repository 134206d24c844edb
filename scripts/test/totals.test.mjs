import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closingLine, fromExitCode, fromOpa, fromTap, fromVitest, sum, toldFailures } from './totals.mjs';

const vitest = (more) => ({
  numPassedTests: 3,
  numFailedTests: 0,
  numPendingTests: 1,
  numTodoTests: 0,
  testResults: [],
  ...more,
});

test('adds up the counts of a vitest report', () => {
  assert.deepEqual(fromVitest(vitest({}), 0), { passed: 3, failed: 0, skipped: 1, failures: [] });
});

test('counts one failure when vitest left no report, found no test, or ended with an error that is no test', () => {
  assert.equal(fromVitest(undefined, 0).failed, 1);
  assert.equal(fromVitest(vitest({ numPassedTests: 0 }), 0).failed, 1);
  assert.equal(fromVitest(vitest({}), 1).failed, 1);
});

test('counts a test file that cannot be loaded', () => {
  const testResults = [{ status: 'failed', assertionResults: [] }];
  assert.equal(fromVitest(vitest({ testResults }), 1).failed, 1);
});

test('names what failed, with the beginning of why', () => {
  const assertionResults = [
    { status: 'passed', fullName: 'holds', failureMessages: [] },
    { status: 'failed', fullName: 'a kill holds', failureMessages: ['Error: it ran\n  at 1\n2\n3\n4\n5\n6\n7'] },
  ];
  const testResults = [
    { name: '/repo/a.test.ts', status: 'failed', assertionResults },
    { name: '/repo/b.test.ts', status: 'failed', assertionResults: [], message: 'no such module' },
  ];
  const { failed, failures } = fromVitest(vitest({ numFailedTests: 1, testResults }), 1);
  assert.equal(failed, 2);
  assert.equal(
    toldFailures(failures, '/repo'),
    [
      '✗ b.test.ts\n    no such module',
      '✗ a.test.ts > a kill holds\n    Error: it ran\n      at 1\n    2\n    3\n    4\n    5',
    ].join('\n'),
  );
});

test('reads the closing lines of a TAP report, and fails without them', () => {
  assert.deepEqual(fromTap('ok 1\n# tests 3\n# pass 2\n# fail 1\n# skipped 0\n# todo 0\n', 1), {
    passed: 2,
    failed: 1,
    skipped: 0,
  });
  assert.equal(fromTap('', 0).failed, 1);
});

test('fails when opa found no test, or printed no list', () => {
  assert.equal(fromOpa([], 0).failed, 1);
  assert.equal(fromOpa(undefined, 0).failed, 1);
  assert.deepEqual(fromOpa([{ name: 'a' }, { name: 'b', fail: true }], 2), { passed: 1, failed: 1, skipped: 0 });
});

test('the closing line tells of skipped tests only when there are some', () => {
  const total = sum([fromExitCode(0), fromExitCode(1), { passed: 5, failed: 0, skipped: 0 }]);
  assert.equal(closingLine(total), '6 passed, 1 failed');
  assert.equal(closingLine({ ...total, skipped: 2 }), '6 passed, 1 failed, 2 skipped');
});
