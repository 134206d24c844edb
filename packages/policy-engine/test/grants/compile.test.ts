import { type Config, ConfigError } from '@agentgate/contracts';
import { describe, expect, test } from 'vitest';
import { compileGrants } from '../../src/grants/compile.ts';
import { compile } from './grants.ts';

test('an index by whom and by how closely the tool is named', () => {
  const { data, wheres } = compile(`
  - { id: one, to: { agents: [demo] }, tools: [fs/read, "fs/write_*", "crm/*"], where: { /path: { under: /srv } }, effect: allow }
  - { id: two, to: { labels: [dev, ops] }, tools: ["*/list", "*/*", "c*/x*z"], effect: deny }
  - { id: three, to: { tenants: [acme] }, tools: [fs/read], effect: require_approval }
  - { id: four, to: { agents: [eve], labels: [dev], tenants: [acme, default] }, tools: [fs/read], effect: allow }
  - { id: five, to: { labels: [dev], tenants: [acme] }, tools: [fs/read], effect: allow }`);
  expect(data.grants.list).toEqual([
    { id: 'one', effect: 'allow', conditional: true },
    { id: 'two', effect: 'deny', conditional: false },
    { id: 'three', effect: 'require_approval', conditional: false },
    { id: 'four', effect: 'allow', conditional: false, labels: ['dev'] },
    { id: 'five', effect: 'allow', conditional: false },
  ]);
  const any = [{ grant: 1, name: ['list'] }, { grant: 1 }, { grant: 1, server: ['c', ''], name: ['x', 'z'] }];
  expect(data.grants.whom).toEqual({
    'agent:default/demo': {
      exact: { 'fs/read': [0] },
      server: { fs: [{ grant: 0, name: ['write_', ''] }], crm: [{ grant: 0 }] },
      any: [],
    },
    'label:*/dev': { exact: {}, server: {}, any },
    'label:*/ops': { exact: {}, server: {}, any },
    'tenant:acme': { exact: { 'fs/read': [2] }, server: {}, any: [] },
    'agent:acme/eve': { exact: { 'fs/read': [3] }, server: {}, any: [] },
    'agent:default/eve': { exact: { 'fs/read': [3] }, server: {}, any: [] },
    'label:acme/dev': { exact: { 'fs/read': [4] }, server: {}, any: [] },
  });
  expect([...wheres]).toEqual([[0, { '/path': { under: '/srv' } }]]);
});

test('what a server needs upstream goes with its name, and the secret’s source does not', () => {
  expect(compile('  []').data.credentials).toEqual({ crm: { name: 'crm-key', scope: 'read', ttl_s: 30 } });
});

test('a server may be named like what every object inherits', () => {
  const { data } = compile('  - { id: a, to: { agents: [demo] }, tools: ["constructor/*"], effect: allow }');
  expect(data.grants.whom['agent:default/demo']?.server).toEqual({ constructor: [{ grant: 0 }] });
});

describe('refuses what cannot be enforced safely, naming the grant and the field', () => {
  test.each([
    [
      'where: { /path: { under: /srv/../etc } }',
      /^grants: a: \/path: "\/srv\/\.\.\/etc" cannot be a path prefix: it holds a "\.\." segment$/,
    ],
    [
      'where: { /name: { matches: "(a+)+" } }',
      /^grants: a: \/name: the pattern cannot be used: a repeat of something that repeats$/,
    ],
    ['where: { /url: { host_in: ["*"] } }', /^grants: a: \/url: "\*" cannot be a host/],
    ['where: { /ip: { cidr_in: ["10.0.0.0/99"] } }', /^grants: a: \/ip: "10\.0\.0\.0\/99" is not a network/],
  ])('%s', (where, message) => {
    const read = () => compile(`  - { id: a, to: { agents: [demo] }, tools: [fs/read], effect: allow, ${where} }`);
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(message);
  });
  test('two stars on one side of the slash', () => {
    expect(() => compile('  - { id: a, to: { agents: [demo] }, tools: ["fs/*a*"], effect: allow }')).toThrow(
      /^grants: a: tools: fs\/\*a\*: only one \* may stand on each side of the slash$/,
    );
  });
  test('more than 50 grants for one agent and tool', () => {
    const lines = (n: number) =>
      Array.from(
        { length: n },
        (_, i) => `  - { id: g${i}, to: { agents: [demo] }, tools: [fs/read], effect: allow }`,
      ).join('\n');
    expect(() => compile(lines(50))).not.toThrow();
    expect(() => compile(lines(51))).toThrow(
      /^grants: g50: more than 50 grants name agent:default\/demo and fs\/read$/,
    );
  });
  test('agents × tools beyond what memory holds', () => {
    const names = (prefix: string, n: number) => Array.from({ length: n }, (_, i) => `${prefix}${i}`);
    const grants = [{ id: 'a', to: { agents: names('x', 1024) }, tools: names('fs/t', 256), effect: 'allow' as const }];
    const config: Pick<Config, 'grants' | 'servers' | 'credentials'> = { grants, servers: {}, credentials: {} };
    expect(() => compileGrants(config)).toThrow(/use labels and patterns$/);
  });
});
