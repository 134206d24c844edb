import { expect, test } from 'vitest';
import { shapeResult } from '../src/result.ts';

const opts = { secrets: [], hidden: [], maxBytes: 1024 };
const text = (t: string) => ({ content: [{ type: 'text', text: t }] });

test('gives the parts of an MCP result and nothing else', () => {
  expect(shapeResult({ ...text('a'), structuredContent: { a: 1 }, _meta: { x: 1 } }, opts)).toEqual({
    outcome: 'ok',
    reason: 'the tool ran',
    result: { ...text('a'), structuredContent: { a: 1 } },
    redacted: [],
  });
});

test('is tool_error when the tool says so', () => {
  expect(shapeResult({ ...text('no'), isError: true }, opts)).toMatchObject({
    outcome: 'tool_error',
    reason: 'the tool reports an error',
    result: { isError: true },
  });
});

test.each([
  ['too large', text('x'.repeat(2_000)), /^the result has \d+ bytes, at most 1024 are allowed$/],
  ['no MCP result', 'text', /^the tool answered with something that is no MCP result$/],
  ['without a canonical form', text('\ud800'), /^the result is not JSON that has a canonical form$/],
])('is tool_error without a result when it is %s', (_, raw, reason) => {
  const shaped = shapeResult(raw, opts);
  expect(shaped.outcome).toBe('tool_error');
  expect(shaped.reason).toMatch(reason);
  expect(shaped).not.toHaveProperty('result');
});

test('is tool_error when it nests deeper than evidence can take', () => {
  let deep: Record<string, unknown> = {};
  for (let i = 0; i < 100; i++) deep = { deep };
  expect(shapeResult({ content: [], structuredContent: deep }, opts)).toMatchObject({
    outcome: 'tool_error',
    reason: 'the result is not JSON that has a canonical form',
  });
});

test('lacks what policy hides, and says where it stood', () => {
  const raw = {
    content: [{ type: 'text', text: '{"pin":4921,"name":"Ann"}' }],
    structuredContent: { pin: 4921, name: 'Ann' },
  };
  expect(shapeResult(raw, { ...opts, hidden: ['/pin'] })).toEqual({
    outcome: 'ok',
    reason: 'the tool ran',
    result: {
      content: [{ type: 'text', text: '{"pin":"[redacted]","name":"Ann"}' }],
      structuredContent: { pin: '[redacted]', name: 'Ann' },
    },
    redacted: ['/structuredContent/pin', '/content/0/text'],
  });
});
