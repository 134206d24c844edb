import { describe, expect, test } from 'vitest';
import { checkPolicy } from '../../src/check/check.ts';
import { contradictionIn, follows } from '../../src/check/conditions.ts';
import { revisionOf } from '../trial/world.ts';

const agents = [
  { tenant: 'default', name: 'demo', labels: ['dev'] },
  { tenant: 'default', name: 'ops', labels: [] },
  { tenant: 'acme', name: 'eve', labels: [] },
];
const check = (grants: string, tools?: string[]) =>
  checkPolicy(revisionOf(grants).data, { agents, servers: ['fs', 'crm'], tools });
const found = (grants: string, tools?: string[]) =>
  check(grants, tools).findings.map(({ grant, kind, why }) => `${grant}: ${kind}: ${why}`);
const grant = (id: string, to: string, tools: string, more = 'effect: allow') =>
  `  - { id: ${id}, to: { ${to} }, tools: [${tools}], ${more} }\n`;

describe('checkPolicy', () => {
  test('finds nothing in grants that decide something', () => {
    expect(
      found(
        grant('a', 'agents: [demo]', '"fs/*"') +
          grant('b', 'labels: [dev]', 'crm/get') +
          grant('c', 'tenants: [acme]', '"*/read_*"') +
          grant('d', 'agents: [demo]', 'fs/delete', 'effect: deny'),
      ),
    ).toEqual([]);
  });

  test.each([
    [grant('a', 'agents: [nobody]', 'fs/x'), 'a: no_agent: there is no agent nobody'],
    [grant('a', 'agents: [demo], tenants: [acme]', 'fs/x'), 'a: no_agent: there is no agent acme/demo'],
    [grant('a', 'labels: [prod]', 'fs/x'), 'a: no_agent: there is no label prod'],
    [grant('a', 'labels: [dev], tenants: [acme]', 'fs/x'), 'a: no_agent: there is no label acme/dev'],
    [grant('a', 'tenants: [gone]', 'fs/x'), 'a: no_agent: there is no tenant gone'],
    [grant('a', 'agents: [ops], labels: [dev]', 'fs/x'), 'a: no_agent: none of its agents has the label dev'],
    [grant('a', 'agents: [demo]', 'mail/send'), 'a: no_server: no server is named mail'],
    [grant('a', 'agents: [demo]', '"mail*/send"'), 'a: no_server: no server is named mail*'],
  ])('finds a grant about nobody and nothing: %s', (grants, finding) => {
    expect(found(grants)).toEqual([finding]);
  });

  test('finds a tool that no server lists, where the catalogue is known', () => {
    const grants = grant('a', 'agents: [demo]', 'fs/raed, "fs/w*"') + grant('b', 'agents: [demo]', 'fs/raed');
    expect(found(grants, ['fs/read', 'fs/write'])).toEqual(['b: no_tool: no server lists fs/raed']);
    expect(found(grants)).toEqual([]);
  });

  test('finds what an unconditional deny covers, and not what it covers in part', () => {
    const deny = (tools: string, to = 'agents: [demo]') => grant('d', to, tools, 'effect: deny');
    const shadowed = ['a: shadowed: grant d denies every call that it is about'];
    const a = grant('a', 'agents: [demo]', '"fs/read_*"');
    expect(found(a + deny('"fs/*"'))).toEqual(shadowed);
    expect(found(a + deny('"fs/read_*"'))).toEqual(shadowed);
    expect(found(a + deny('"*/*"', 'tenants: [default]'))).toEqual(shadowed);
    expect(found(a + deny('fs/read_file'))).toEqual([]);
    expect(found(a + deny('"crm/*"'))).toEqual([]);
    expect(found(a + deny('"fs/*"', 'agents: [ops]'))).toEqual([]);
    expect(found(grant('a', 'tenants: [default]', 'fs/x') + deny('fs/x'))).toEqual([]);
    expect(found(grant('a', 'agents: [demo]', '"*/x"') + deny('fs/x'))).toEqual([]);
    expect(found(grant('a', 'agents: [demo]', 'fs/x', 'effect: require_approval') + deny('fs/x'))).toEqual(shadowed);
  });

  test('finds what a deny covers under its condition', () => {
    const where = (id: string, path: string, effect: string) =>
      grant(id, 'agents: [demo]', 'fs/x', `effect: ${effect}, where: { /path: ${path} }`);
    const shadowed = ['a: shadowed: grant d denies every call that it is about'];
    expect(found(where('a', '{ under: /srv/box }', 'allow') + where('d', '{ under: /srv }', 'deny'))).toEqual(shadowed);
    expect(found(where('a', '{ one_of: [/srv/a, /srv/b] }', 'allow') + where('d', '{ under: /srv }', 'deny'))).toEqual(
      shadowed,
    );
    expect(found(where('a', '{ under: /srv }', 'allow') + where('d', '{ under: /srv/box }', 'deny'))).toEqual([]);
    expect(
      found(where('a', '{ under: /srv/box, optional: true }', 'allow') + where('d', '{ under: /srv }', 'deny')),
    ).toEqual([]);
  });

  test('names the tools that nobody may call, of the catalogue, or else of the names in the policy', () => {
    const grants = grant('a', 'agents: [demo]', 'fs/read') + grant('d', 'agents: [demo]', 'fs/delete', 'effect: deny');
    expect(check(grants, ['fs/read', 'fs/write', 'fs/delete'])).toMatchObject({
      unreached: ['fs/delete', 'fs/write'],
      tools: 'catalogue',
    });
    expect(check(grants)).toMatchObject({ unreached: ['fs/delete'], tools: 'names' });
  });
});

describe('contradictionIn', () => {
  test.each([
    [{ '/a': { one_of: ['x', 'y'], matches: '[0-9]+' } }, 'no value of one_of satisfies matches'],
    [{ '/a': { equals: '/etc/passwd', under: '/srv' } }, 'no value of equals satisfies under'],
    [{ '/a': { equals: 'x', one_of: ['y'] } }, 'no value of equals satisfies one_of'],
    [{ '/a': { min: 1, matches: '[0-9]+' } }, 'min needs a number, and matches needs a string'],
    [{ '/a': { each: { equals: 'x' }, max_length: 3 } }, 'each needs an array, and max_length needs a string'],
    [{ '/a': { under: '/srv/box', max_length: 4 } }, 'nothing under "/srv/box" is as short as max_length 4'],
    [{ '/a': { under: '/srv', host_in: ['example.com'] } }, 'a path under "/srv" names no host'],
    [{ '/a': { equals: 'x' }, '/a/b': { equals: 'y' } }, 'it is to be a value of its own, and to hold /a/b'],
  ])('%j', (where, why) => {
    expect(contradictionIn(where)).toEqual({ pointer: '/a', why });
  });

  test.each([
    [{ '/a': { one_of: ['x', '7'], matches: '[0-9]+' } }],
    [{ '/a': { min: 1, max: 1 } }],
    [{ '/a': { under: '/srv', max_length: 4 } }],
    [{ '/a': { each: { equals: 'x', matches: 'y' } } }],
    [{ '/a': { equals: 'x', matches: 'y', optional: true } }],
  ])('finds none in %j', (where) => {
    expect(contradictionIn(where)).toBeUndefined();
  });
});

describe('follows', () => {
  test.each([
    [{ '/a': { min: 1 } }, { '/a': { min: 2, max: 3 } }, true],
    [{ '/a': { max: 2 } }, { '/a': { max: 3 } }, false],
    [{ '/a': { max_length: 9 } }, { '/a': { max_length: 3 } }, true],
    [{ '/a': { matches: 'x+' } }, { '/a': { equals: 'xx' } }, true],
    [{ '/a': { matches: 'x+' } }, { '/a': { matches: 'x+' } }, true],
    [{ '/a': { matches: 'x+' } }, { '/a': { matches: 'x' } }, false],
    [{ '/a': { equals: 1 } }, { '/b': { equals: 1 } }, false],
    [{}, { '/b': { equals: 1 } }, true],
  ])('%j from %j: %s', (wide, narrow, does) => {
    expect(follows(wide, narrow)).toBe(does);
  });
});
