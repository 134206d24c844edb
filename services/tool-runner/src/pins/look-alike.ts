import type { ToolFlag, ToolPin } from '@agentgate/contracts';
import { distance } from 'fastest-levenshtein';

// Names that pass for others. A tool's name is printable ASCII, or the tool is not offered at all, so letters of other scripts cannot
// come in; what is left are characters of ASCII that an eye confuses (Unicode TR 39, as far as it speaks of ASCII).

const confusables: [shape: RegExp, as: string][] = [
  [/[I1|]/g, 'l'],
  [/[0]/g, 'o'],
  [/rn/g, 'm'],
  [/vv/g, 'w'],
];
const skeleton = (name: string): string =>
  confusables.reduce((text, [shape, as]) => text.replace(shape, as), name).toLowerCase();

const mostFlags = 8;
const mostEdits = 2;

const ownName = (tool: string): string => tool.slice(tool.indexOf('/') + 1);

/** Two names that an eye does not tell apart. The same name at another server is another matter: the server stands before it. */
export const readsTheSame = (a: string, b: string): boolean =>
  a !== b && (skeleton(a) === skeleton(b) || a.toLowerCase() === b.toLowerCase());

/** At most two letters apart, and less than half of the shorter name: `get` and `put` are just short. */
export const isSimilar = (a: string, b: string): boolean => {
  if (a === b || Math.abs(a.length - b.length) > mostEdits) return false;
  const edits = distance(a.toLowerCase(), b.toLowerCase());
  return edits <= mostEdits && 2 * edits < Math.min(a.length, b.length);
};

/** Which accepted tools, of its own server and of others, this one's name could be taken for. */
export const lookAlikes = (tool: string, pins: Iterable<ToolPin>): ToolFlag[] => {
  const name = ownName(tool);
  const same: ToolFlag[] = [];
  const similar: ToolFlag[] = [];
  for (const { tool: as, accepted } of pins) {
    // What nobody accepted must not keep others out.
    if (as === tool || !accepted) continue;
    const other = ownName(as);
    if (readsTheSame(name, other)) same.push({ kind: 'reads_the_same', as });
    else if (isSimilar(name, other)) similar.push({ kind: 'similar_name', as });
  }
  return [...same, ...similar].slice(0, mostFlags);
};
