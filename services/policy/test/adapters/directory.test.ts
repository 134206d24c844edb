import type { BucketEntry } from '@agentgate/bus';
import { type CatalogTool, toolKey } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { watchCatalog } from '../../src/adapters/directory.ts';

const tool = (name: string): CatalogTool => ({
  v: 1,
  name,
  description: 'Reads.',
  input_schema: {},
  annotations: {},
  schema_digest: 'b'.repeat(64),
  seen_at: '2026-01-01T00:00:00Z',
});
const open = async () => {
  const faults: unknown[] = [];
  let tell: (entry: BucketEntry) => void = () => expect.fail('nobody watches');
  const bucket = {
    watch: async (hear: typeof tell) => {
      tell = hear;
      return { lastSeq: () => 0, pending: async () => 0, close: async () => {} };
    },
  };
  const catalog = await watchCatalog(bucket, { error: (fields) => void faults.push(fields) });
  const say = (key: string, value: unknown, operation: BucketEntry['operation'] = 'PUT') =>
    tell({ key, value: Buffer.from(JSON.stringify(value)), revision: 1, operation });
  return { catalog, say, faults };
};

test('a tool is found by its name, as it was written last, until it is taken out', async () => {
  const { catalog, say } = await open();
  say(toolKey('fs/write'), tool('fs/write'));
  say(toolKey('fs/read'), tool('fs/read'));
  say(toolKey('fs/read'), { ...tool('fs/read'), description: 'Reads now.' });
  expect(catalog.get('fs/read')?.description).toBe('Reads now.');
  say(toolKey('fs/read'), null, 'DEL');
  expect(catalog.get('fs/read')).toBeUndefined();
  expect(Array.from(catalog.all(), ({ name }) => name)).toEqual(['fs/write']);
});

test('a record under another key, or that cannot be read, is none, and takes the place of the one before', async () => {
  const { catalog, say, faults } = await open();
  say(toolKey('fs/read'), tool('fs/write'));
  expect([catalog.get('fs/read'), catalog.get('fs/write')]).toEqual([undefined, undefined]);
  // Decodes to the same name, and is not how anybody spells it.
  say(`${toolKey('fs/read')}=`, tool('fs/read'));
  expect(catalog.get('fs/read')).toBeUndefined();
  say(toolKey('fs/read'), tool('fs/read'));
  say(`${toolKey('fs/read')}=`, null, 'DEL');
  expect(catalog.get('fs/read')).toBeDefined();
  say(toolKey('fs/read'), { v: 1 });
  expect(catalog.get('fs/read')).toBeUndefined();
  expect(faults).toHaveLength(3);
});
