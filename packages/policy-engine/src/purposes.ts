import { type Purpose, readPurpose } from './provenance/read-purpose.ts';
import { purposeKeys } from './provenance/trace.ts';
import { hostsIn } from './provenance/values.ts';

/** A purpose as the packs compare calls with it. */
export interface ReadPurpose {
  purpose: Purpose;
  /** Keys of the values that it names. */
  keys: ReadonlySet<string>;
  hosts: ReadonlySet<string>;
}

/** Purposes that were asked about last. Reading one anew costs a millisecond, holding them all would cost without bound. */
const mostKept = 256;

export const createPurposes = (): ((text: string) => ReadPurpose) => {
  const kept = new Map<string, ReadPurpose>();
  return (text) => {
    const found = kept.get(text);
    if (found) return found;
    const made = { purpose: readPurpose(text), keys: purposeKeys(text), hosts: hostsIn(text) };
    kept.set(text, made);
    for (const oldest of kept.keys()) {
      if (kept.size <= mostKept) break;
      kept.delete(oldest);
    }
    return made;
  };
};
