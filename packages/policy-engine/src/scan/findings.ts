/** Something that must not leave, found in an argument. */
export interface DlpFinding {
  /** The argument; the empty pointer where it is split over several. */
  pointer: string;
  kind: 'secret' | 'private_key' | 'card';
  /** The configured secret's name, or the kind of key; never the thing itself. */
  name: string;
}

/** A host that an argument names: in a link, or as a whole argument. */
export interface EgressHost {
  pointer: string;
  host: string;
  /** `unclear`: programs would read it differently. */
  class: 'public' | 'private' | 'metadata' | 'unclear';
  /** What the configuration's lists say of it. */
  list: 'allowed' | 'denied' | 'unlisted';
  /** It stands behind the @ of an address: nothing is fetched from there. */
  mail: boolean;
  /** The purpose names it. */
  in_purpose: boolean;
}
