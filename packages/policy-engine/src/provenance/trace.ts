import { toPointer } from '@agentgate/contracts';
import type { ToolDescription } from './describe.ts';
import { keyOf, normalise, unmask } from './normalise.ts';
import type { Purpose } from './read-purpose.ts';
import { nameKey, quotedKeys, shinglesOf, valuesInText, wholeKey } from './values.ts';

/** Kinds of values. The first ones are distinctive enough to be recognised again; names and text are compared as a whole. */
export type ValueKind = 'email' | 'url' | 'host' | 'account' | 'id' | 'secret' | 'name' | 'text';

/** Where in this session a value was seen before. `agent`: nowhere. */
export type Origin = 'purpose' | 'structured' | 'text' | 'agent';

export interface TracedValue {
  pointer: string;
  kind: ValueKind;
  /** `target`: says whom or what the call acts on. `content`: is said or kept. */
  role: 'target' | 'content' | 'other';
  /** A name under an argument that says who or where: a recipient, a channel, a hotel. */
  whom: boolean;
  /** The most trusted of its sources. */
  origin: Origin;
  /** It stands in the free text of an untrusted result, whatever else it stands in. */
  in_text: boolean;
  /** It stands in a result that holds what must not leave. */
  private: boolean;
}

/** A value of a call's arguments, before anybody asked where it came from. */
export interface ArgumentValue {
  pointer: string;
  kind: ValueKind;
  role: TracedValue['role'];
  whom: boolean;
  key: string;
  /** As written, for the comparison with the purpose. Short: names and identifiers only. */
  text: string;
  /** Nothing but addresses of a form that is recognised: who it names is traced by them. */
  addressed?: boolean;
  /**
   * The whole argument, where it has letters that only look like others: it is recognised as what it looks like when that is suspect, and
   * trusted only where the purpose has exactly this.
   */
  disguised?: string;
}

/** Where one value was seen. */
export interface Source {
  from: 'structured' | 'text';
  tool: string;
  private: boolean;
}

/** Of one call. */
const mostValues = 256;
const mostTraced = 64;
const mostText = 131_072;
const mostJoined = 16;
const longestJoined = 512;

const targetKeys =
  /^(?:.*_)?(?:to|cc|bcc|e?mails?|recipients?|receiver|users?|user_?names?|members?|channels?|participants?|attendees?|invitees?|accounts?|iban|url|uri|href|link|host|domain|address|path|paths|source|destination|file|file_?names?|file_?id|ids?|id_|uuid|repo|repository|branch|owner|name|hotel|restaurant|company|phone|number|target|dest|password|passcode|pin|token|key|query_url|webhook|endpoint)$/i;
const contentKeys =
  /^(?:.*_)?(?:body|content|contents|text|message|description|subject|title|note|notes|comment|summary|data|html|markdown|caption|query|q|prompt|code|sql|script|command)$/i;
const secretKeys = /^(?:.*_)?(?:password|passcode|pin|secret|passphrase|token|api_?key|key)$/i;
const addresses = /^(?:.*_)?(?:to|cc|bcc|e?mails?|recipients?|participants?|attendees?|invitees?)$/i;

/** Arguments whose plain names say whom or what place a call is about. */
const somebody =
  /^(?:.*_)?(?:to|cc|bcc|e?mails?|users?|recipients?|channels?|members?|hotel|restaurant|company|group|team|participants?|attendees?|vendor|payee)$/i;
/** Who is paid may stand under these as well. */
const payee = /(?:to|recipient|payee|beneficiary|account|iban|receiver|name|address|email|user)$/i;

const keyNameOf = (path: readonly string[]): string => path.findLast((token) => !/^\d+$/.test(token)) ?? '';

export const roleOf = (path: readonly string[], tool: ToolDescription): TracedValue['role'] => {
  if (tool.isTarget(path)) return 'target';
  if (tool.isContent(path)) return 'content';
  // The closest name that says something: what stands below a recipient is a recipient.
  for (const key of path.toReversed()) {
    if (addresses.test(key)) return 'target';
    if (contentKeys.test(key)) return 'content';
    if (targetKeys.test(key)) return 'target';
  }
  return 'other';
};

export interface CallValues {
  values: ArgumentValue[];
  /** Keys of short texts that it says, each as a whole. */
  said: string[];
  /** Keys of word windows of what it says. */
  shingles: string[];
  /** One key for all that it acts on; empty where it names nothing. */
  targets: string;
  overflow: boolean;
}

/** The values of a call's arguments that are worth asking about. Linear in their size, and bounded. */
export const argumentValues = (args: Record<string, unknown>, tool: ToolDescription): CallValues => {
  const values: ArgumentValue[] = [];
  const seen = new Set<string>();
  const contents: string[] = [];
  const whole: string[] = [];
  let left = mostText;
  let overflow = false;
  const add = (value: ArgumentValue) => {
    const id = `${value.pointer}\n${value.key}`;
    if (seen.has(id)) return;
    if (values.length >= mostValues) overflow = true;
    else {
      seen.add(id);
      values.push(value);
    }
  };
  const leaf = (text: string, path: readonly string[]) => {
    left -= text.length;
    if (left < 0) {
      overflow = true;
      return;
    }
    const pointer = toPointer(path);
    const role = roleOf(path, tool);
    const disguise = isDisguised(text) && { disguised: text };
    const inText = valuesInText(text);
    if (inText.overflow) overflow = true;
    for (const { kind, key } of inText.values) add({ pointer, kind, role, whom: false, key, text: '', ...disguise });
    if (role === 'content') contents.push(text);
    whole.push(text.trim());
    const name = nameKey(text);
    const last = keyNameOf(path);
    if (name !== undefined && role === 'target')
      add({
        pointer,
        kind: tool.labels.includes('credential') && secretKeys.test(last) ? 'secret' : 'name',
        role,
        whom: somebody.test(last) || (tool.labels.includes('payment') && payee.test(last)),
        key: name,
        text,
        addressed: isAddresses(text),
        ...disguise,
      });
  };
  const walk = (value: unknown, path: readonly string[]): void => {
    if (typeof value === 'string') leaf(value, path);
    else if (typeof value === 'number') leaf(String(value), path);
    else if (Array.isArray(value)) for (const [i, member] of value.entries()) walk(member, [...path, String(i)]);
    else if (typeof value === 'object' && value !== null)
      for (const [key, member] of Object.entries(value)) {
        if (/[@./:]|(?:\d.*){4}/.test(key)) leaf(key, [...path, key]);
        walk(member, [...path, key]);
      }
  };
  walk(args, []);
  // What is split over arguments is one value to whoever puts them together. Only what was seen elsewhere counts: `traced`.
  const alone = new Set(values.map(({ key }) => key));
  const role = values.some((value) => value.role === 'target') ? 'target' : 'content';
  for (const text of joined(whole))
    for (const { kind, key } of valuesInText(text).values)
      if (!alone.has(key)) add({ pointer: '', kind, role, whom: false, key, text: '' });
  return {
    values,
    said: contents.flatMap((text) => wholeKey(text) ?? []).slice(0, 16),
    shingles: contents.flatMap((text) => shinglesOf(text)).slice(0, 256),
    targets: targetsKey(values),
    overflow,
  };
};

/** Neighbours, and all in order: put together as they are, and as the two halves of an address. */
const joined = (whole: readonly string[]): string[] => {
  if (whole.length < 2 || whole.length > mostJoined) return [];
  const pairs = whole.slice(1).map((text, i) => [whole[i] ?? '', text]);
  return [...pairs, ...(whole.length > 2 ? [whole] : [])].flatMap((texts) =>
    ['', '@'].map((by) => texts.map((text) => text.slice(0, longestJoined)).join(by)),
  );
};

const targetsKey = (values: readonly ArgumentValue[]): string => {
  const keys = values.filter(({ role, pointer }) => role === 'target' && pointer !== '').map(({ key }) => key);
  return keys.length === 0 ? '' : keyOf('targets', keys.sort().join());
};

const rank: Record<Origin, number> = { agent: 3, text: 2, structured: 1, purpose: 0 };

export interface Recollection {
  /** By key. */
  sources: ReadonlyMap<string, readonly Source[]>;
  /** Keys of what the user's purpose names. */
  purpose: ReadonlySet<string>;
  /** Keys of what the agent itself wrote somewhere. */
  written: ReadonlySet<string>;
}

/** A name that stands everywhere in a purpose is not looked for longer than this. */
const mostPlaces = 32;

const isInPurpose = (purpose: Purpose, value: ArgumentValue, keys: ReadonlySet<string>): boolean => {
  if (value.disguised !== undefined) return purpose.written.includes(value.disguised.trim());
  if (keys.has(value.key)) return true;
  if (value.kind !== 'name' && value.kind !== 'secret') return false;
  const name = normalise(value.text);
  if (name.length < 2) return false;
  let places = 0;
  for (
    let at = purpose.text.indexOf(name);
    at !== -1 && places < mostPlaces;
    at = purpose.text.indexOf(name, at + 1), places++
  ) {
    const before = purpose.text[at - 1] ?? ' ';
    const after = purpose.text[at + name.length] ?? ' ';
    if (!/[\p{L}\p{N}]/u.test(before) && !/[\p{L}\p{N}]/u.test(after)) return true;
  }
  return false;
};

/** What was structured only after the agent itself wrote it is worth no more than what the agent says. */
const originIn = (value: ArgumentValue, purpose: Purpose, known: Recollection): Origin => {
  if (isInPurpose(purpose, value, known.purpose)) return 'purpose';
  const sources = known.sources.get(value.key) ?? [];
  if (
    value.disguised === undefined &&
    !known.written.has(value.key) &&
    sources.some(({ from }) => from === 'structured')
  )
    return 'structured';
  return sources.length > 0 ? 'text' : 'agent';
};

/** What a rule may hold a call for comes first, and of that the most suspect. `overflow`: more of it than is told of. */
export const traced = (
  values: readonly ArgumentValue[],
  purpose: Purpose,
  known: Recollection,
): { values: TracedValue[]; overflow: boolean } => {
  // An account or a link says whom by itself, and is traced as one; so is an argument of nothing but addresses.
  const identified = new Set(values.filter(({ kind }) => identifies.includes(kind)).map(({ pointer }) => pointer));
  const found = values
    .map((value): TracedValue => {
      const sources = known.sources.get(value.key) ?? [];
      return {
        pointer: value.pointer,
        kind: value.kind,
        role: value.role,
        whom: value.whom && value.addressed !== true && !identified.has(value.pointer),
        origin: originIn(value, purpose, known),
        in_text: sources.some(({ from }) => from === 'text'),
        private: sources.some((source) => source.private),
      };
    })
    .filter(({ pointer, origin }) => pointer !== '' || origin !== 'agent')
    .sort((a, b) => weight(b) - weight(a));
  return { values: found.slice(0, mostTraced), overflow: found.slice(mostTraced).some(matters) };
};
const identifies: readonly ValueKind[] = ['account', 'url'];

/** Ids and numbers in what is said are nobody's target: any number of them must not hide one. */
const matters = ({ role, kind, origin, private: hidden }: TracedValue): boolean =>
  (role !== 'content' || kind === 'url' || kind === 'host' || kind === 'email' || hidden) && rank[origin] >= rank.text;
const weight = (value: TracedValue): number =>
  (matters(value) ? 100 : 0) + (value.role === 'target' ? 10 : 0) + rank[value.origin];

/** Letters that only look like others, or that cannot be seen. */
const isDisguised = (text: string): boolean => unmask(text) !== text.normalize('NFC');
const address = /^(?:[^\n@<>]{0,128}<)?[a-z0-9._%+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,6}[a-z0-9-]{2,63}>?$/i;
const isAddresses = (text: string): boolean => text.split(/[,;]/).every((piece) => address.test(piece.trim()));

/** The purpose says who is meant, by name, and what the call names is nobody of them. */
export const namesSomebodyElse = (
  values: readonly ArgumentValue[],
  names: readonly string[],
  { purpose, keys }: { purpose: Purpose; keys: ReadonlySet<string> },
): boolean => {
  const whom = values.filter((value) => value.whom && value.kind === 'name');
  if (names.length === 0 || whom.length === 0) return false;
  return whom.some((value) => {
    if (isInPurpose(purpose, value, keys)) return false;
    const text = normalise(value.text);
    return !names.some((name) => text.includes(name));
  });
};

/** Keys of what neither the purpose nor a system gave: what an agent that writes it somewhere may read back as more than it is. */
export const suspectKeys = (values: readonly ArgumentValue[], purpose: Purpose, known: Recollection): string[] => [
  ...new Set(values.filter((value) => rank[originIn(value, purpose, known)] >= rank.text).map(({ key }) => key)),
];

/** `input.provenance` (PROTOCOL.md, "Policy"): for each argument with values, where they were seen. */
export const provenanceOf = (
  values: readonly ArgumentValue[],
  purpose: Purpose,
  known: Recollection,
): Record<string, string[]> => {
  const found: Record<string, string[]> = {};
  for (const value of values) {
    if (value.pointer === '') continue;
    if (!Object.hasOwn(found, value.pointer) && Object.keys(found).length >= mostTraced) continue;
    const list = found[value.pointer] ?? [];
    found[value.pointer] = list;
    const told = [
      ...(isInPurpose(purpose, value, known.purpose) ? ['purpose'] : []),
      ...(known.sources.get(value.key) ?? []).map(({ from, tool }) => `result:${tool}#${from}`),
    ];
    for (const each of told.length > 0 ? told : ['agent'])
      if (!list.includes(each) && list.length < 16) list.push(each);
  }
  return found;
};

/** A short text that stood in quotes in an untrusted text, or more than a few of a longer one's word windows: it was copied from there. */
export const isCopied = (
  { said, shingles }: Pick<CallValues, 'said' | 'shingles'>,
  { purpose, sources }: Pick<Recollection, 'purpose' | 'sources'>,
): boolean => {
  if (said.some((key) => !purpose.has(key) && sources.has(key))) return true;
  let copied = 0;
  for (const key of shingles) if (!purpose.has(key) && sources.has(key)) copied++;
  return copied > 0 && copied * 2 >= Math.min(shingles.length, 6);
};

/** What the purpose names, as keys. */
export const purposeKeys = (purpose: string): Set<string> =>
  new Set([...valuesInText(purpose).values.map(({ key }) => key), ...quotedKeys(purpose), ...shinglesOf(purpose)]);
