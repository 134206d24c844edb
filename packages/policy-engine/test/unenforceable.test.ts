import { ConfigError, parseConfig } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { unenforceable } from '../src/index.ts';

const head = `v: 1
tenants: { default: { agents: { demo: {} } } }
servers: { fs: { stdio: { command: fs } } }
`;
const grant = (id: string, rest: string) =>
  `  - id: ${id}
    to: { agents: [demo] }
    effect: allow
${rest}`;
const first = `grants:\n${grant('first', '    tools: [fs/read]\n')}`;
const read = (text: string) => parseConfig(head + text, '/x.yaml', unenforceable);

test.each([
  [
    'a pattern that is not RE2',
    `${first}${grant('a', '    tools: [fs/read]\n    where:\n      /path:\n        min: 1\n        matches: "(?=a)b"\n')}`,
    '/x.yaml:16: grants/1/where/~1path/matches: the pattern is not RE2: error parsing regexp: invalid or unsupported Perl syntax: `(?=`',
  ],
  [
    'a pattern that costs too much, of the members of an array',
    `${first}${grant('a', '    tools: [fs/read]\n    where:\n      /names:\n        each:\n          matches: (a+)+\n')}`,
    '/x.yaml:16: grants/1/where/~1names/each/matches: the pattern cannot be used: a repeat of something that repeats',
  ],
  [
    'a condition on all arguments',
    `${first}${grant('a', '    tools: [fs/read]\n    where:\n      "": { min: 1 }\n')}`,
    '/x.yaml:14: grants/1/where/: names all arguments; a condition is about one, such as /path',
  ],
  [
    'bounds that exclude each other',
    `${first}${grant('a', '    tools: [fs/read]\n    where:\n      /n: { min: 2, max: 1 }\n')}`,
    '/x.yaml:14: grants/1/where/~1n: min is above max',
  ],
  [
    'two stars on one side of the slash',
    `${first}${grant('a', '    tools:\n      - fs/*a*\n')}`,
    '/x.yaml:12: grants/1/tools: fs/*a*: only one * may stand on each side of the slash',
  ],
  [
    'more than 50 grants for one agent and tool',
    `grants:\n${Array.from({ length: 51 }, (_, i) => grant(`g${i}`, '    tools: [fs/read]\n')).join('')}`,
    '/x.yaml:205: grants/50: more than 50 grants name agent:default/demo and fs/read',
  ],
  [
    'a host that is none in a list of egress',
    'policy:\n  packs: [egress]\n  egress:\n    deny: ["*"]\n',
    '/x.yaml:7: policy/egress/deny: "*" cannot be a host: only "*." at its start may stand for more',
  ],
])('refuses %s with the line and the key', (_, text, message) => {
  expect(() => read(text)).toThrow(new ConfigError(message));
});

test('takes what can be enforced', () => {
  const where = '    tools: [fs/*]\n    where: { /path: { matches: "[a-z]+" }, /url: { host_in: ["*.example"] } }\n';
  expect(read(`${first}${grant('a', where)}`).grants).toHaveLength(2);
});
