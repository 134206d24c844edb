import { expect, test } from 'vitest';
import { lastWords } from '../../src/up/wait-ready.ts';

const words = (...lastLines: string[]) => lastWords('policy', { name: 'policy', pid: undefined, ends: 1, lastLines });

test('tells why a service ended: its own last error, with the cause', () => {
  expect(
    words(
      '{"level":30,"msg":"starting"}',
      '{"level":60,"msg":"policy could not start","err":{"message":"no bundle"}}',
      '{"level":30,"msg":"x"}',
    ),
  ).toBe('policy could not start: no bundle');
});
test("tells a crash's error, where a service could not even log", () => {
  expect(
    words(
      'node:internal:1',
      '  throw err;',
      "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'x'",
      '    at y',
      '',
      'Node.js v26',
    ),
  ).toBe("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'x'");
});
test('tells that nothing was said', () => {
  expect(words()).toBe('it said nothing');
});
