import { redactAt, redactedText } from '@agentgate/contracts';
import { redact } from './redaction.ts';
import type { ToolResult } from './result.ts';

// What policy wants taken out of a result before anybody sees it (obligation `redact.result`).

/** A shorter value would be found by chance in ordinary text. */
const minChars = 4;
/** Values that are looked for elsewhere; where more were taken out, no text stays. */
const maxSought = 64;

/** What the types of content are called in MCP is no secret. */
const contentTypes = ['text', 'image', 'audio', 'resource', 'resource_link'];

const textsIn = (value: unknown): string[] => {
  if (typeof value === 'string') return [value];
  if (typeof value === 'number') return [String(value)];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
};

/** Undefined for what is no JSON object or list. */
const parsed = (text: unknown): unknown => {
  if (typeof text !== 'string' || !/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/**
 * Takes out what the patterns name in the result itself, in its structured content, and in text that is JSON: a server says the
 * same thing in several of these places. Then the same values wherever else they stand in it, in any usual encoding.
 */
export const redactResult = (
  result: ToolResult,
  patterns: readonly string[],
): { result: ToolResult; redacted: string[] } => {
  if (patterns.length === 0) return { result, redacted: [] };
  const redacted: string[] = [];
  const taken: unknown[] = [];
  const at = (value: unknown, place: string): unknown => {
    const found = redactAt(value, patterns);
    redacted.push(...found.redacted.map((pointer) => (place.endsWith('/text') ? place : `${place}${pointer}`)));
    taken.push(...found.taken);
    return found.redacted.length > 0 ? found.value : value;
  };
  const { content, structuredContent, ...rest } = at(result, '') as Partial<ToolResult>;
  const structured = isObject(structuredContent) ? at(structuredContent, '/structuredContent') : undefined;
  const items = Array.isArray(content) ? content.map((item, i) => redactItem(item, i, at)) : [redactedItem];
  const sought = [...new Set(taken.flatMap(textsIn))].filter(
    (text) => text.length >= minChars && !contentTypes.includes(text),
  );
  const clean = elsewhere({ content: items, ...(isObject(structured) && { structuredContent: structured }) }, sought);
  return {
    result: { ...(rest.isError !== undefined && { isError: rest.isError }), ...clean.value },
    redacted: [...new Set([...redacted, ...clean.redacted])].slice(0, maxSought),
  };
};

const redactedItem = { type: 'text', text: redactedText };
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const redactItem = (
  item: unknown,
  i: number,
  at: (value: unknown, place: string) => unknown,
): Record<string, unknown> => {
  if (!isObject(item)) return redactedItem;
  const json = parsed(item.text);
  if (json === undefined) return item;
  const clean = at(json, `/content/${i}/text`);
  return clean === json ? item : { ...item, text: JSON.stringify(clean) };
};

const elsewhere = (
  value: Pick<ToolResult, 'content' | 'structuredContent'>,
  sought: readonly string[],
): { value: Pick<ToolResult, 'content' | 'structuredContent'>; redacted: string[] } => {
  if (sought.length > maxSought) return { value: { ...value, content: [redactedItem] }, redacted: ['/content'] };
  const redacted: string[] = [];
  let left = value;
  for (const text of [...sought].sort((a, b) => b.length - a.length)) {
    const clean = redact(left, [text]);
    left = clean.value;
    redacted.push(...clean.redacted);
  }
  return { value: left, redacted };
};
