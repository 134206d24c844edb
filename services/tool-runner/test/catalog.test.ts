import type { CatalogTool } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createCatalog } from '../src/catalog.ts';
import type { ListedTool } from '../src/upstream.ts';
import { echoTool } from './fixtures/echo-tool.ts';
import { fakeUpstream } from './fixtures/fakes.ts';

const open = (tools: ListedTool[]) => {
  const synced: { server: string; tools: CatalogTool[] }[] = [];
  const warned: string[] = [];
  const catalog = createCatalog({
    upstreams: [{ upstream: fakeUpstream('probe', tools), credential: undefined }],
    now: () => 0,
    records: { sync: async (server, all) => void synced.push({ server, tools: all }) },
    log: { warn: (_, message) => void warned.push(message) },
  });
  return { catalog, synced, warned };
};

test('writes each tool with the digest of what an agent is told of it', () => {
  const { synced } = open([echoTool]);
  const again = open([{ ...echoTool, annotations: { readOnlyHint: true } }]).synced;
  expect(synced).toMatchObject([
    {
      server: 'probe',
      tools: [
        {
          v: 1,
          name: 'probe/echo',
          input_schema: echoTool.inputSchema,
          schema_digest: expect.stringMatching(/^[0-9a-f]{64}$/),
        },
      ],
    },
  ]);
  expect(again[0]?.tools[0]?.schema_digest).not.toBe(synced[0]?.tools[0]?.schema_digest);
});

test.each([
  ['whose name cannot be', { ...echoTool, name: 'two words' }],
  ['that is described at endless length', { ...echoTool, inputSchema: { a: 'x'.repeat(300_000) } }],
  ['that is described in no JSON', { ...echoTool, inputSchema: { a: Number.NaN } }],
])('leaves out a tool %s, and keeps the others', (_, bad) => {
  const { catalog, synced, warned } = open([bad, { ...echoTool, name: 'other' }]);
  expect(synced[0]?.tools.map((t) => t.name)).toEqual(['probe/other']);
  expect(warned).toContain('some tools cannot be offered');
  expect(catalog.find('probe/other').tool).toBe('other');
});
