import { toPointer } from '@agentgate/contracts';

/** A string or number of a call's arguments, or a key that may itself be a value. */
export interface Leaf {
  pointer: string;
  /** The name it stands under; list positions are no names. */
  key: string;
  text: string;
}

/** A key that is not a plain name, with a number at its end at most, may carry something. */
const plainKey = /^[A-Za-z_][A-Za-z_-]{0,30}\d{0,2}$/;

/** In order. Depth and number are bounded by the message they came in. */
export const leavesOf = (args: Record<string, unknown>): Leaf[] => {
  const found: Leaf[] = [];
  const walk = (value: unknown, path: readonly string[], key: string): void => {
    if (typeof value === 'string') found.push({ pointer: toPointer(path), key, text: value });
    else if (typeof value === 'number') found.push({ pointer: toPointer(path), key, text: String(value) });
    else if (Array.isArray(value)) for (const [i, member] of value.entries()) walk(member, [...path, String(i)], key);
    else if (typeof value === 'object' && value !== null)
      for (const [name, member] of Object.entries(value)) {
        if (!plainKey.test(name)) found.push({ pointer: toPointer([...path, name]), key: '', text: name });
        walk(member, [...path, name], name);
      }
  };
  walk(args, [], '');
  return found;
};
