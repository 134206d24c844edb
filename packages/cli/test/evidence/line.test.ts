import pc from 'picocolors';
import { expect, test } from 'vitest';
import { entryJson, entryLine } from '../../src/evidence/line.ts';
import { createEntryVerifier } from '../../src/evidence/read.ts';
import { type Draft, keys, messageOf, sealedEntries } from './entries.ts';

const plain = pc.createColors(false);
const read = (draft: Draft) => createEntryVerifier(keys)(messageOf(sealedEntries([draft])[0] ?? '', 0));
const line = (draft: Draft) => entryLine(plain, read(draft)).replace(/ {2,}/g, ' | ');

test.each<[Draft, string]>([
  [
    { id: 'e', agent: 'demo', data: { tool: 'files/read', decision: { code: 'NO_GRANT' } } },
    'call.decided | demo | files/read | NO_GRANT',
  ],
  [
    { id: 'e', name: 'call.completed', agent: 'demo', data: { call: 'call_1', code: 'OK', outcome: 'ok' } },
    'call.completed | demo | a subject | OK',
  ],
  [
    { id: 'e', name: 'kill.ordered', data: { scope: { kind: 'session', id: 'ses_1' }, by: 'operator' } },
    'kill.ordered | - | session ses_1',
  ],
  [{ id: 'e', name: 'kill.ordered', data: { scope: { kind: 'global' } } }, 'kill.ordered | - | global'],
  [
    { id: 'e', name: 'evidence.anomaly', data: { kind: 'hole', about: 'agentgate/ingress/i1 e 4' } },
    'evidence.anomaly | - | agentgate/ingress/i1 e 4 | hole',
  ],
])('shows what an event is about and how it ended: %#', (draft, text) => {
  expect(line(draft)).toBe(`0 | ✓ 2026-01-01T00:00:00.000Z | ${text}`);
});

test('shows nothing that could move the cursor or turn the text', () => {
  expect(line({ id: 'e', data: { tool: 'a\u001b[2Jb\u202ec', decision: { code: 'OK' } } })).toContain('a·[2Jb·c');
});

test('shows a problem under its entry, and nothing of an entry with a bad seal', () => {
  const [text = ''] = sealedEntries([{ id: 'e', data: { tool: 'files/read' } }]);
  const bad = createEntryVerifier(keys)(messageOf(text.replace('files/read', 'files/gone'), 4));
  expect(entryLine(plain, bad)).toBe('4       ✗ not to be believed\n        the path does not lead to the root');
});

test('gives programs the whole entry', () => {
  expect(entryJson(read({ id: 'evt_1', data: { call: 'c' } }))).toMatchObject({
    index: 0,
    leaf_hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    verified: true,
    event: { id: 'evt_1' },
    seal: { size: 1 },
  });
  expect(entryJson({ index: Number.NaN, leafHash: 'x', problems: ['has no index'] })).toEqual({
    index: null,
    leaf_hash: 'x',
    verified: false,
    problems: ['has no index'],
  });
});
