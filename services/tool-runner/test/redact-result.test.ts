import { describe, expect, test } from 'vitest';
import { redactResult } from '../src/redact-result.ts';
import { shapeResult } from '../src/result.ts';

const text = (of: unknown) => ({ type: 'text', text: typeof of === 'string' ? of : JSON.stringify(of) });
const account = { iban: 'DE89370400440532013000', owner: { name: 'Ann', pin: 1234 }, tags: ['a', 'b'] };

describe('redact.result', () => {
  test.each<[string, object, string[], object, string[]]>([
    [
      'a field of the structured content, and the same in the text that repeats it',
      { content: [text(account)], structuredContent: account },
      ['/iban'],
      {
        content: [text({ ...account, iban: '[redacted]' })],
        structuredContent: { ...account, iban: '[redacted]' },
      },
      ['/structuredContent/iban', '/content/0/text'],
    ],
    [
      'a field of text that is JSON',
      { content: [text(account)] },
      ['/owner/pin'],
      { content: [text({ ...account, owner: { name: 'Ann', pin: '[redacted]' } })] },
      ['/content/0/text'],
    ],
    [
      'all members',
      { content: [], structuredContent: { list: [{ iban: 'x' }, { iban: 'y' }, { other: 1 }] } },
      ['/list/*/iban'],
      { content: [], structuredContent: { list: [{ iban: '[redacted]' }, { iban: '[redacted]' }, { other: 1 }] } },
      ['/structuredContent/list/0/iban', '/structuredContent/list/1/iban'],
    ],
    [
      'a subtree, and its values wherever else they stand',
      { content: [text('Ann has DE89370400440532013000.')], structuredContent: { account } },
      ['/account'],
      { content: [text('Ann has [redacted].')], structuredContent: { account: '[redacted]' } },
      ['/structuredContent/account', '/content/0/text'],
    ],
    [
      'a pointer into the result itself',
      { content: [text('plain words')] },
      ['/content/0/text'],
      { content: [text('[redacted]')] },
      ['/content/0/text'],
    ],
    ['everything', { content: [text('plain words')] }, [''], { content: [text('[redacted]')] }, ['']],
    ['nothing where there is no such field', { content: [text('plain')] }, ['/iban'], { content: [text('plain')] }, []],
  ])('takes out %s', (_, result, patterns, wanted, redacted) =>
    expect(redactResult(result as never, patterns)).toEqual({ result: wanted, redacted }),
  );

  test.each([
    ['base64', Buffer.from(`x${account.iban}`).toString('base64')],
    ['a nested resource', { resource: { uri: 'a:b', text: `it is ${account.iban}` } }],
    ['a key', { [account.iban]: 1 }],
  ])('takes the value out of %s as well', (_, where) => {
    const item = typeof where === 'string' ? text(where) : { type: 'resource', ...where };
    const result = { content: [item], structuredContent: account };
    const told = JSON.stringify(redactResult(result, ['/iban']).result);
    expect(told).not.toContain(account.iban);
    expect(told).not.toContain(Buffer.from(account.iban).toString('base64').slice(4, 20));
  });

  test('leaves no text where too many values are taken out', () => {
    const structuredContent = { list: Array.from({ length: 80 }, (_, i) => `value-${i}`) };
    const { result } = redactResult({ content: [text('value-79')], structuredContent }, ['/list/*']);
    expect(result.content).toEqual([text('[redacted]')]);
  });
  test('keeps an error an error', () =>
    expect(redactResult({ content: [text('secret words')], isError: true }, ['/content']).result).toEqual({
      content: [text('[redacted]')],
      isError: true,
    }));
  test('does not touch prototypes', () => {
    const structuredContent = JSON.parse('{"__proto__":{"iban":"DE893704"},"iban":"DE893705"}') as Record<
      string,
      unknown
    >;
    const { result } = redactResult({ content: [], structuredContent }, ['/iban', '/__proto__/iban']);
    expect(JSON.stringify(result.structuredContent)).toBe('{"__proto__":{"iban":"[redacted]"},"iban":"[redacted]"}');
    expect(({} as { iban?: string }).iban).toBeUndefined();
  });
});

test('a result that cannot be redacted is withheld', () => {
  let deep: unknown = 'x';
  for (let i = 0; i < 200_000; i++) deep = [deep];
  const raw = { content: [], structuredContent: { deep } };
  expect(shapeResult(raw, { secrets: [], hidden: ['/deep'], maxBytes: 1_024 })).toEqual({
    outcome: 'tool_error',
    reason: 'the result cannot be redacted as policy wants it',
    redacted: [],
  });
});
