import type { ToolDefinition, ToolFlag } from '@agentgate/contracts';

// Text that a person does not see and a model reads.

/** Emoji are spelled with joiners, variation selectors and tags: as whole sequences of the standard they hide nothing. */
const emoji = /\p{RGI_Emoji}/gv;
/** Scripts that need joiners within words. */
const joined =
  /(?<=[\p{sc=Arab}\p{sc=Syrc}\p{sc=Deva}\p{sc=Beng}\p{sc=Mlym}\p{sc=Sinh}\p{sc=Knda}\p{sc=Telu}\p{M}])[\u200c\u200d](?=[\p{L}\p{M}])/gu;
/**
 * Zero-width characters, directions, tags, variation selectors, soft hyphens, fillers; controls, and with them every terminal escape;
 * other lines, private and unassigned code points. Tab and line ends are ordinary.
 */
const hidden = /[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u2800]|(?![\t\n\r])\p{Cc}/gu;
const plain = /^[\t\n\r\x20-\x7e]*$/;

const mostFlags = 16;
const mostNamed = 8;

/** What hides in a text, as code points with how often; undefined where nothing does. */
export const hiddenIn = (text: string): string | undefined => {
  if (plain.test(text)) return undefined;
  const counts = new Map<string, number>();
  for (const [char] of text.replace(emoji, '').replace(joined, '').matchAll(hidden)) {
    const name = `U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  if (counts.size === 0) return undefined;
  const named = [...counts].slice(0, mostNamed).map(([name, n]) => (n === 1 ? name : `${name} × ${n}`));
  return [...named, ...(counts.size > mostNamed ? [`${counts.size - mostNamed} more`] : [])].join(', ');
};

/** Every text of the definition: description, schema and annotations, names of fields too. */
export const hiddenCharacters = ({ description, input_schema, annotations }: ToolDefinition): ToolFlag[] => {
  const flags: ToolFlag[] = [];
  const look = (text: string, at: string) => {
    const found = flags.length < mostFlags ? hiddenIn(text) : undefined;
    if (found !== undefined) flags.push({ kind: 'hidden_characters', at: shownPointer(at), found });
  };
  // Not by recursion: a schema may be as deep as its server likes.
  const left: [value: unknown, at: string][] = [[{ description, input_schema, annotations }, '']];
  for (let next = left.pop(); next; next = left.pop()) {
    const [value, at] = next;
    if (typeof value === 'string') look(value, at);
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, member] of Object.entries(value)) {
      const below = `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`.slice(0, 1_024);
      look(key, below);
      left.push([member, below]);
    }
  }
  return flags;
};

/** The pointer goes to terminals and into evidence: what it names hides no longer. */
const shownPointer = (at: string): string => at.replace(hidden, '\ufffd').slice(0, 512).toWellFormed();
