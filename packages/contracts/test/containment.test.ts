import { expect, test } from 'vitest';
import { createToolMatch, parseConfig } from '../src/index.ts';

const parse = (lines: string) => parseConfig(`v: 1\ntenants: {}\n${lines}\n`, '/srv/agentgate.yaml');

test('stops nobody by itself unless somebody says so', () => {
  expect(parse('').containment).toEqual({
    denials: [],
    canaries: [],
    breakers: [],
    anomalies: [],
    risk: [],
    escalate: { sessions: 3, window_s: 3_600 },
  });
});

test.each([
  ['a key that is none', 'containment:\n  denails: []', '4: containment/denails: unknown field'],
  [
    'a rule without a time',
    'containment:\n  denials:\n    - { id: a, count: 3 }',
    '5: containment/denials/0/window_s: ',
  ],
  [
    'a count beyond the bound',
    'containment:\n  denials:\n    - { id: a, count: 257, window_s: 1 }',
    '5: containment/denials/0/count: ',
  ],
  [
    'a code that tells of the gate',
    'containment:\n  denials:\n    - { id: a, count: 3, window_s: 1, codes: [POLICY_UNAVAILABLE] }',
    '5: containment/denials/0/codes/0: ',
  ],
  [
    'a whole tenant',
    'containment:\n  denials:\n    - { id: a, count: 3, window_s: 1, contains: tenant }',
    '5: containment/denials/0/contains: ',
  ],
  [
    'a canary of nothing',
    'containment:\n  canaries:\n    - { id: a }',
    '5: containment/canaries/0: names no tool, no credential and no value',
  ],
  [
    'a canary credential that is none',
    'containment:\n  canaries:\n    - { id: a, credentials: [x] }',
    '5: containment/canaries/0/credentials/0: no credential is named x',
  ],
  [
    'a pattern with many stars',
    'containment:\n  canaries:\n    - { id: a, tools: ["a*b*c/x"] }',
    '5: containment/canaries/0/tools/0: only one * may stand on each side of the slash',
  ],
  [
    'a breaker without a limit',
    'containment:\n  breakers:\n    - { id: a, tools: ["a/*"], window_s: 1 }',
    '5: containment/breakers/0: names neither errors nor a budget',
  ],
  [
    'a score of nothing',
    'containment:\n  risk:\n    - { id: a, limit: 1, half_life_s: 1, weights: { NO_GRANT: 0 } }',
    '5: containment/risk/0/weights: weighs nothing',
  ],
  [
    'two rules of one name',
    'containment:\n  anomalies: [{ id: a }]\n  risk:\n    - { id: a, limit: 1, half_life_s: 1 }',
    '6: containment/risk/0/id: a second rule of containment is named a',
  ],
  ['an operator who is called like a service', 'operators: [sentinel]', '3: operators/0: is the name of another user'],
])('refuses %s by line and key', (_, lines, message) => {
  expect(() => parse(lines)).toThrow(`/srv/agentgate.yaml:${message}`);
});

test('finds bait from where the file lies', () => {
  const { containment } = parse('containment:\n  canaries:\n    - { id: a, values: { key: { file: ./bait } } }');
  expect(containment.canaries[0]?.values).toEqual({ key: { file: '/srv/bait' } });
});

test.each([
  ['payroll/export_*', 'payroll/export_all', true],
  ['payroll/export_*', 'payroll/export', false],
  ['*/export', 'any/export', true],
  ['*/export', 'any/import', false],
  ['a*z/x', 'az/x', true],
  ['a*a/x', 'a/x', false],
  ['s/a.c', 's/abc', false],
  ['s/*', 's/a/b', true],
])('%s names %s: %s', (pattern, tool, names) => {
  expect(createToolMatch([pattern])(tool)).toBe(names);
});
