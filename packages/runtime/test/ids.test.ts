import { callId, eventId } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createIds } from '../src/ids.ts';

test('makes ids of the contract’s form that sort by time and never repeat', () => {
  const newId = createIds();
  const ids = Array.from({ length: 2_000 }, (_, i) => newId('call', 1_800_000_000_000 + Math.floor(i / 500)));
  expect(ids.every((id) => callId.safeParse(id).success)).toBe(true);
  expect(new Set(ids).size).toBe(ids.length);
  expect((ids[0] ?? '') < (ids[1_999] ?? '')).toBe(true);
  expect(eventId.safeParse(newId('evt')).success).toBe(true);
});
