import { expect, test } from 'vitest';
import { splitLines } from '../../src/up/split-lines.ts';

const linesOf = (chunks: string[], limit = 100) => {
  const lines: string[] = [];
  const take = splitLines(limit, (line) => lines.push(line));
  for (const chunk of chunks) take(chunk);
  return lines;
};

test('joins what comes in pieces and cuts what comes together', () => {
  expect(linesOf(['a', 'b\nc\r\n', '\n', 'd'])).toEqual(['ab', 'c', '']);
});
test('drops what exceeds the bound of a line, and goes on with the next', () => {
  expect(linesOf(['x'.repeat(80), 'x'.repeat(80), '\nnext\n'])).toEqual(['x'.repeat(100), 'next']);
});
