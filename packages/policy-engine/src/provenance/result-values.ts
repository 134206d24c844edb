import type { ToolDescription } from './describe.ts';
import { unmask } from './normalise.ts';
import type { ValueKind } from './trace.ts';
import { nameKey, quotedKeys, shinglesOf, valuesInText } from './values.ts';

/** A value of a result and how it stood there: in a field that only the tool's own system writes, or in text. */
export interface SeenValue {
  key: string;
  kind: ValueKind;
  from: 'structured' | 'text';
}

/** Of one result. Identifiers come first: what is dropped is copied text. */
const mostValues = 4_000;
const mostLeaves = 20_000;
/** Characters that are looked at. Beyond, the caller is told. */
const mostText = 262_144;
const maxDepth = 32;

/** Keys under which an address, account, link or id stands because the system put it there. */
const identityKeys =
  /^(?:.*_)?(?:e?-?mails?|mail|from|to|cc|bcc|sender|senders|recipients?|receiver|participants?|attendees?|members?|owners?|authors?|creators?|organi[sz]ers?|users?|user_?names?|login|assignees?|shared_with|contacts?|ids?|id_|uuid|guid|key|iban|accounts?|account_?(?:number|id)|routing|card|phones?|phone_numbers?|tel|mobile|urls?|uri|href|links?|web_?site|host|hostname|domain|ip|address|email_?address(?:es)?|sha|hash|digest|ref|number|code)$/i;
const proseKeys =
  /^(?:.*_)?(?:body|content|contents|text|message|messages|description|summary|subject|title|note|notes|comment|comments|reviews?|bio|about|snippet|details|html|markdown|readme|display_?name|label)$/i;

const isName = (text: unknown): text is string =>
  typeof text === 'string' && text.length <= 64 && !/[\n.!?@:]/.test(text) && text.split(/\s+/).length <= 4;
const isNames = (value: unknown): value is string[] => Array.isArray(value) && value.length > 0 && value.every(isName);

type Add = (value: SeenValue) => void;

const identifierWhole = /^\S{1,512}$/;

/** The whole of a leaf under a key that names an identity, when it is one thing without white space. */
const isIdentity = (text: string, key: string | undefined): boolean =>
  key !== undefined && identityKeys.test(key) && !proseKeys.test(key) && identifierWhole.test(text);

const addLeaf = (text: string, from: SeenValue['from'], { add, copied }: { add: Add; copied: string[] }): boolean => {
  const { values, overflow } = valuesInText(text);
  for (const value of values) add({ ...value, from });
  const name = nameKey(text);
  if (name !== undefined) add({ key: name, kind: 'name', from });
  if (from === 'text') copied.push(text);
  return overflow;
};

interface Part {
  value: unknown;
  /** The server itself says what is a field: a page or a file that looks like JSON does not. */
  hasFields: boolean;
}

/** What the content of an MCP result says; JSON in a text is read, so that the configuration can name fields of it. */
const partsOf = (result: unknown): Part[] => {
  if (typeof result !== 'object' || result === null) return [{ value: result, hasFields: false }];
  const { content, structuredContent } = result as { content?: unknown; structuredContent?: unknown };
  if (structuredContent !== undefined) {
    // A server repeats it as text for clients that know no better; text beside it that says something else is text.
    const same = JSON.stringify(structuredContent);
    const texts = textsOf(content).filter((text) => !isJsonOf(text, same));
    return [{ value: structuredContent, hasFields: true }, ...texts.map((value) => ({ value, hasFields: false }))];
  }
  if (!Array.isArray(content)) return [{ value: result, hasFields: true }];
  return textsOf(content).map((text) => ({ value: parsed(text) ?? text, hasFields: false }));
};
const textsOf = (content: unknown): string[] =>
  Array.isArray(content)
    ? content.flatMap((item: unknown) => {
        if (typeof item !== 'object' || item === null) return [];
        const { text, resource } = item as { text?: unknown; resource?: { text?: unknown } };
        return [text, resource?.text].filter((each): each is string => typeof each === 'string');
      })
    : [];
const parsed = (text: string): unknown => {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
const isJsonOf = (text: string, same: string): boolean => {
  const value = parsed(text);
  return value !== undefined && JSON.stringify(value) === same;
};

/**
 * The values of a result. In a trusted tool's result all is structured. Else a leaf is structured where the configuration says
 * so, or where, in structured content, an identifier stands alone under a key that names one. Everything else is text: plain text,
 * text that looks like JSON, and whatever a tool fetched from a host.
 */
export const resultValues = (
  result: unknown,
  { results, labels }: Pick<ToolDescription, 'results' | 'labels'>,
): { values: SeenValue[]; overflow: boolean } => {
  const found = new Map<string, SeenValue>();
  const copied: string[] = [];
  let overflow = false;
  let leaves = 0;
  let left = mostText;
  const add: Add = (value) => {
    // What stands in text is remembered as such, whatever else it stands in.
    const key = `${value.from}${value.key}`;
    if (found.has(key)) return;
    if (found.size >= mostValues) overflow = true;
    else found.set(key, value);
  };
  // What a page says stands wherever its author put it.
  let hasFields = false;
  const classOf = (text: string, path: string[]): SeenValue['from'] => {
    if (results.trusted || results.isStructured(path)) return 'structured';
    if (results.isText(path) || !hasFields) return 'text';
    const key = path.findLast((token) => !/^\d+$/.test(token));
    return isIdentity(text, key) ? 'structured' : 'text';
  };
  const walk = (value: unknown, path: string[]): void => {
    if (typeof value === 'string') left -= value.length;
    if (leaves++ > mostLeaves || path.length > maxDepth || left < 0) {
      overflow = true;
      return;
    }
    if (typeof value === 'string') {
      if (addLeaf(value, classOf(value, path), { add, copied })) overflow = true;
    } else if (typeof value === 'number') {
      if (addLeaf(String(value), classOf(String(value), path), { add, copied: [] })) overflow = true;
    } else if (isNames(value)) {
      // Who or what there is, as the system lists it.
      const isField = results.trusted || results.isStructured(path) || (hasFields && !results.isText(path));
      const from = isField ? 'structured' : 'text';
      for (const name of value) if (addLeaf(name, from, { add, copied: [] })) overflow = true;
    } else if (Array.isArray(value)) for (const [i, member] of value.entries()) walk(member, [...path, String(i)]);
    else if (typeof value === 'object' && value !== null)
      for (const [key, member] of Object.entries(value)) {
        // A key may be a value, too: who a file is shared with, for one.
        if (/[@./:]|\d{4}/.test(key)) addLeaf(key, classOf(key, path), { add, copied: [] });
        else if (isName(key) && hasFields && !results.isText([...path, key]))
          addLeaf(key, 'structured', { add, copied: [] });
        walk(member, [...path, key]);
      }
  };
  for (const part of partsOf(result)) {
    hasFields = part.hasFields && !labels.includes('fetch');
    walk(part.value, []);
  }
  const values = [...found.values()];
  if (!results.trusted)
    for (const text of copied)
      for (const key of [...quotedKeys(text), ...shinglesOf(unmask(text))]) {
        if (values.length >= mostValues) return { values, overflow: true };
        values.push({ key, kind: 'text', from: 'text' });
      }
  return { values, overflow };
};
