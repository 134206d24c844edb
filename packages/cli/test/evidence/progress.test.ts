import pc from 'picocolors';
import { expect, test } from 'vitest';
import { barOf } from '../../src/evidence/progress.ts';

const paint = pc.createColors(false);

test('shows how far it is, and how long it will take', () => {
  expect(barOf({ entries: 250_000, size: 1_000_000, ms: 5_000, paint })).toBe(
    `${'█'.repeat(8)}${'░'.repeat(22)} 25 %  250,000 of 1,000,000, 15 s left`,
  );
});

test('is full for an empty log', () => {
  expect(barOf({ entries: 0, size: 0, ms: 1, paint })).toBe(`${'█'.repeat(30)} 100 %  0 of 0, 0 s left`);
});
