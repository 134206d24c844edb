import type { ToolResult } from '@agentgate/client';
import { parse } from 'yaml';
import { fillMarks, fillValue, type RecordedCall } from './data.ts';
import { parsePythonLiteral } from './python-literal.ts';

type Structure = Record<string, unknown> | unknown[];

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isStructure = (value: unknown): value is Structure => typeof value === 'object' && value !== null;

/** What a program dumps: names in a list, or sorted keys that look like names. Prose that happens to be YAML has neither. */
const looksDumped = (value: unknown): boolean => {
  if (Array.isArray(value)) return value.every(looksDumped);
  if (!isRecord(value)) return String(value).split(/\s+/).length <= maxWordsOfName;
  const keys = Object.keys(value);
  return (
    keys.length > 1 && keys.every((key, i) => /^[A-Za-z_]\w*$/.test(key) && (i === 0 || key >= (keys[i - 1] ?? '')))
  );
};
const maxWordsOfName = 4;

const attempts: ((text: string) => unknown)[] = [
  (text) => JSON.parse(text),
  parsePythonLiteral,
  (text) => {
    const value: unknown = parse(text, { logLevel: 'silent' });
    return isStructure(value) && looksDumped(value) ? value : undefined;
  },
];

const structureOf = (text: string): Structure | undefined => {
  for (const attempt of attempts) {
    try {
      const value = attempt(text);
      if (isStructure(value)) return value;
    } catch {
      // It is in none of this form; the next one may fit, and what none fits is plain text.
    }
  }
  return undefined;
};

/** Turns recorded results into what a tool server answers. Each text is taken apart once, before anybody's text is put into it. */
export const createResults = () => {
  const known = new Map<string, Structure | undefined>();
  const parsed = (text: string) => {
    if (!known.has(text)) known.set(text, structureOf(text));
    return known.get(text);
  };
  return (call: RecordedCall, texts: Readonly<Record<string, string>>): ToolResult => {
    if (call.error) return { content: [{ type: 'text', text: fillMarks(call.error, texts) }], isError: true };
    const structure = typeof call.result === 'string' ? parsed(call.result) : call.result;
    if (!isStructure(structure)) return fillMarks(String(call.result ?? ''), texts);
    const filled = fillValue(structure, texts);
    // MCP wants an object; servers wrap everything else so.
    const structuredContent = isRecord(filled) ? filled : { result: filled };
    return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent };
  };
};
