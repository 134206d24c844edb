import { expect, test } from 'vitest';
import { folded } from '../../src/commands/folded.ts';

test('breaks at spaces, within the terminal and below its own beginning', () => {
  const text = 'one two three four five six seven eight nine ten';
  expect(`    ${folded(text, 4, 28)}`).toBe('    one two three four five\n    six seven eight nine ten');
});

test('leaves a word that is too long whole, to be copied', () => {
  const id = `probe/${'x'.repeat(100)}`;
  expect(folded(`tool ${id} was called`, 2, 40)).toBe(`tool\n  ${id}\n  was called`);
});

test('leaves a text as it is where nobody looks', () => {
  expect(folded('a  b '.repeat(100), 2, undefined)).toBe('a  b '.repeat(100));
});
