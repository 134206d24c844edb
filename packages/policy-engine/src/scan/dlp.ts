import { spellingsOf } from '@agentgate/runtime';
import { readings, unmask } from '../provenance/normalise.ts';
import type { DlpFinding } from './findings.ts';
import { leavesOf } from './leaves.ts';

// Looks for what must not leave in a call's arguments, in the spellings that tools and models make of it. Searching for fixed
// text and bounded patterns: linear in the arguments.

export interface Secret {
  name: string;
  bytes: Uint8Array;
}

const maxFindings = 32;

/** Key shapes that are precise enough not to be met by chance. */
const keyShapes: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['pem', /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/],
  ['aws access key', /(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])/],
  ['github token', /(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})/],
  ['slack token', /(?<![A-Za-z0-9])xox[abeprs]-[A-Za-z0-9-]{10,255}/],
  ['google api key', /(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])/],
  ['stripe key', /(?<![A-Za-z0-9])[sr]k_live_[A-Za-z0-9]{16,255}/],
  ['nkey seed', /(?<![A-Za-z0-9])S[ANOUCX][A-Z2-7]{56}(?![A-Za-z0-9])/],
];

/** Digits in one run, or in groups by single spaces or dashes; not part of a longer number. */
const cardShape = /(?<!\d[ -]?)\d(?:[ -]?\d){12,18}(?![ -]?\d)/g;
/** ISO/IEC 7812: issuers' first digits and how many digits their numbers have. */
const issuers =
  /^(?:4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|(?:6011|65\d\d|64[4-9]\d)\d{12}|35\d{14}|3(?:0[0-5]|[68]\d)\d{11})$/;

const passesLuhn = (digits: string): boolean => {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48;
    const weighed = i % 2 === 1 ? 2 * digit : digit;
    sum += weighed > 9 ? weighed - 9 : weighed;
  }
  return sum % 10 === 0;
};

const holdsCard = (text: string): boolean => {
  for (const [found] of text.matchAll(cardShape)) {
    const digits = found.replace(/\D/g, '');
    if (issuers.test(digits) && passesLuhn(digits)) return true;
  }
  return false;
};

interface Needle {
  name: string;
  exact: string[];
  /** Compared in lower case. */
  hex: string;
}

const needleOf = ({ name, bytes }: Secret): Needle => {
  const buffer = Buffer.from(bytes);
  return { name, exact: spellingsOf(buffer.toString('utf8')), hex: buffer.toString('hex') };
};

const percent = /(?:%[0-9A-Fa-f]{2})+/g;
const withoutPercent = (text: string): string =>
  text.replace(percent, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'));

/** The text as it may be meant: without what cannot be seen, without escapes, without white space. */
const readable = (text: string): string[] => {
  const shown = unmask(text);
  const decoded = shown.includes('%') ? withoutPercent(shown) : shown;
  return [...new Set([text, shown, decoded, decoded.replace(/\s+/g, '')])];
};

/** Finds configured secrets, private keys and card numbers. Secrets and keys are also found split over arguments; numbers are not, where any two would do. */
export const createDlpScan = (secrets: readonly Secret[]): ((args: Record<string, unknown>) => DlpFinding[]) => {
  const needles = secrets.map(needleOf);

  const secretsIn = (text: string): string[] => {
    if (needles.length === 0) return [];
    const spellings = readable(text);
    const lower = spellings.map((spelling) => spelling.toLowerCase());
    return needles
      .filter(
        ({ exact, hex }) =>
          exact.some((form) => spellings.some((spelling) => spelling.includes(form))) ||
          lower.some((spelling) => spelling.includes(hex)),
      )
      .map(({ name }) => name);
  };
  const keysIn = (all: readonly string[]): string[] =>
    keyShapes.filter(([, shape]) => all.some((reading) => shape.test(reading))).map(([name]) => name);

  return (args) => {
    const found = new Map<string, DlpFinding>();
    const add = (finding: DlpFinding) => {
      if (found.size < maxFindings) found.set(`${finding.pointer} ${finding.kind} ${finding.name}`, finding);
    };
    const leaves = leavesOf(args);
    for (const { pointer, text } of leaves) {
      for (const name of secretsIn(text)) add({ pointer, kind: 'secret', name });
      const all = readings(unmask(text));
      for (const name of keysIn(all)) add({ pointer, kind: 'private_key', name });
      if (all.some(holdsCard)) add({ pointer, kind: 'card', name: 'card number' });
    }
    if (leaves.length < 2) return [...found.values()];
    const together = leaves.map(({ text }) => text.trim()).join('');
    const alone = new Set([...found.values()].map(({ kind, name }) => `${kind} ${name}`));
    for (const name of secretsIn(together))
      if (!alone.has(`secret ${name}`)) add({ pointer: '', kind: 'secret', name });
    for (const name of keysIn(readings(unmask(together))))
      if (!alone.has(`private_key ${name}`)) add({ pointer: '', kind: 'private_key', name });
    return [...found.values()];
  };
};
