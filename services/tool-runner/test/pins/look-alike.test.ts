import { readFileSync } from 'node:fs';
import type { ToolPin } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { isSimilar, lookAlikes, readsTheSame } from '../../src/pins/look-alike.ts';
import { definitionOf, echoTool } from '../fixtures/echo-tool.ts';

test.each([
  ['delete_fi1e', 'delete_file'],
  ['deIete_file', 'delete_file'],
  ['read_0bject', 'read_object'],
  ['forrnat', 'format'],
  ['vvrite', 'write'],
  ['getUser', 'getuser'],
  ['READ_FILE', 'read_file'],
])('%s reads the same as %s', (a, b) => {
  expect(readsTheSame(a, b)).toBe(true);
  expect(readsTheSame(b, a)).toBe(true);
});
test.each([
  ['read_file', 'read_files'],
  ['list_a', 'list_b'],
  ['read_file', 'read_file'],
])('%s does not read the same as %s', (a, b) => expect(readsTheSame(a, b)).toBe(false));

test.each([
  ['read_file', 'read_files', true],
  ['read_file', 'raed_file', true],
  ['delete-file', 'delete_file', true],
  ['read_file', 'read_filters', false],
  ['get', 'put', false],
  ['get', 'set', true],
  ['ab', 'cd', false],
  ['read_file', 'read_file', false],
])('%s and %s: similar is %s', (a, b, similar) => expect(isSimilar(a, b)).toBe(similar));

const accepted = (tool: string): ToolPin => ({
  v: 1,
  tool,
  accepted: {
    schema_digest: 'a'.repeat(64),
    definition: definitionOf(echoTool),
    flags: [],
    at: '2026-01-01T00:00:00Z',
    by: 'first use',
  },
});
test('names each accepted tool that this one could be taken for, whoever its server is, and not itself', () => {
  const pins = ['crm/delete_file', 'fs/delete_file', 'fs/delete_files', 'fs/read', 'evil/delete_fi1e'].map(accepted);
  expect(lookAlikes('evil/delete_fi1e', pins)).toEqual([
    { kind: 'reads_the_same', as: 'crm/delete_file' },
    { kind: 'reads_the_same', as: 'fs/delete_file' },
    { kind: 'similar_name', as: 'fs/delete_files' },
  ]);
  // The same name at another server is told apart by its server.
  expect(lookAlikes('fs/delete_file', [accepted('crm/delete_file')])).toEqual([]);
});
test('what nobody accepted keeps nobody out', () => {
  const waiting: ToolPin = { v: 1, tool: 'evil/delete_fi1e' };
  expect(lookAlikes('fs/delete_file', [waiting])).toEqual([]);
});

test('finds none among the tools of the filesystem server that the demo runs', () => {
  const source = readFileSync(
    new URL('../../node_modules/@modelcontextprotocol/server-filesystem/dist/index.js', import.meta.url),
    'utf8',
  );
  const names = [...source.matchAll(/registerTool\("([a-z_]+)"/g)].map(([, name]) => `filesystem/${name}`);
  expect(names.length).toBeGreaterThan(10);
  expect(names.flatMap((name) => lookAlikes(name, names.map(accepted)))).toEqual([]);
});
