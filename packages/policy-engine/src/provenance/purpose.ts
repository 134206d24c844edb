import type { ToolDescription } from './describe.ts';
import type { Mention, Purpose } from './read-purpose.ts';
import type { Thing, VerbGroup } from './words.ts';

// Compares a call with what the agent's user asked for, by the words of both. It errs towards a person: a request in words that
// nobody listed costs an approval.

/** How a call agrees with what the agent's user asked for. */
export interface PurposeFact {
  given: boolean;
  /** The purpose asks for something of this kind. */
  asks: boolean;
  /** It leaves it to a document or message to say what is to be done. */
  delegates: boolean;
  /** How many such calls it plausibly asks for; -1 where it names no number ("all", "each"). */
  budget: number;
  /** How many of them were asked for in this session already; without a number, how many messages went to the same place. */
  used: number;
  /** It wants links told or passed on. */
  links: boolean;
  /** It says which page it means: a link that stands in text only is another one. */
  names_pages: boolean;
  /** It says who is meant, and the call names somebody else. */
  somebody_else: boolean;
}
const numbers: Record<string, number> = {
  two: 2,
  three: 3,
  four: 4,
  five: 5,
  six: 6,
  seven: 7,
  eight: 8,
  nine: 9,
  ten: 10,
  twice: 2,
};

/** "It", "them", "that" and "this" stand for what an earlier sentence named. */
const pronoun = /\b(?:it|them|this|that|these|those|one|him|her)\b/i;
/** Of these the ones that are nothing else. */
const standsForThings = /\b(?:it|them|these|those)\b/i;

const groupsByEffect: Record<string, readonly VerbGroup[]> = {
  write: ['create', 'change'],
  send: ['send'],
  payment: ['pay', 'send'],
  permission: ['permit'],
  credential: ['change', 'create', 'delete'],
  execute: ['execute', 'create', 'change'],
  fetch: ['fetch', 'read', 'send'],
};
/** What a person must have asked for as such: no document can ask for it in their stead. */
const neverDelegated: readonly string[] = ['delete', 'payment', 'credential', 'permission', 'execute'];
const strict: readonly string[] = ['delete', 'payment', 'credential', 'execute'];

const shares = <T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean => {
  for (const each of a) if (b.has(each)) return true;
  return false;
};

/** The verb groups that a request for this tool may use. */
const wantedGroups = ({ labels, words }: ToolDescription): Set<VerbGroup> => {
  // Nothing but a word for deleting asks for a deletion.
  if (labels.includes('delete')) return new Set(['delete']);
  // Who may see or do something is changed by such a word, or by the tool's own for it.
  if (labels.includes('permission'))
    return new Set<VerbGroup>(['permit', ...[...words.groups].filter((group) => group !== 'send')]);
  const wanted = new Set(labels.flatMap((label) => groupsByEffect[label] ?? []));
  // Of the two ways to write, the one that the tool's own verb is: to be asked to add a line is not to be asked for a new event.
  const own = (['create', 'change'] as const).filter((group) => words.groups.has(group));
  if (own.length === 1 && !labels.includes('payment'))
    for (const group of ['create', 'change'] as const) if (!own.includes(group)) wanted.delete(group);
  // A payment that is scheduled or updated is asked for by such words.
  if (labels.includes('payment')) for (const group of own) wanted.add(group);
  // A page that is published is made.
  if (labels.includes('send') && words.things.has('page')) wanted.add('create');
  return wanted;
};

const countOf = (mentions: readonly Mention[], isStrict: boolean): number => {
  if (mentions.some(({ isPlural }) => isPlural)) return -1;
  let count = mentions.length;
  for (const { sentence } of mentions)
    for (const [word, number] of Object.entries(numbers))
      if (sentence.counts.has(word)) count = Math.max(count, number);
  // "Send A to Bob and B to Alice" names its verb once.
  return isStrict ? count : count + Math.max(0, ...mentions.map(({ joints }) => joints));
};

export interface Judgement extends Pick<PurposeFact, 'given' | 'asks' | 'delegates' | 'budget'> {
  /** Which of its requests ask for it: calls that the same ones ask for share their number. */
  requests: string;
  /** Whom these name, where they name a number. Lower case. */
  names: readonly string[];
  /** They want links told or passed on. */
  links: boolean;
}

/** Whether the purpose asks for such a call, and for how many. */
export const judgePurpose = (purpose: Purpose, tool: ToolDescription): Judgement => {
  const given = purpose.text.trim() !== '';
  const nothing = { given, asks: false, delegates: false, budget: 0, requests: '', names: [], links: false };
  if (!given) return nothing;
  const { labels, words } = tool;
  const delegates = purpose.delegates && !labels.some((label) => neverDelegated.includes(label));
  if (labels.includes('fetch') && !labels.some((label) => label === 'send' || label === 'write')) {
    const asks = purpose.pages > 0;
    return { ...nothing, asks, budget: purpose.pluralPages ? -1 : purpose.pages, requests: 'pages' };
  }
  const wanted = wantedGroups(tool);
  const isNamed = (mention: Mention): boolean => {
    if (words.verb !== undefined && mention.verb === words.verb) return true;
    return [...mention.groups].some((group) => wanted.has(group));
  };
  const isMessage = labels.includes('send') && (words.things.has('mail') || words.things.has('chat'));
  const isAbout = (mention: Mention): boolean => {
    // Anything can be sent in a message; only another way to send it is another tool.
    if (isMessage && mention.groups.has('send')) {
      const ways = [...mention.things].filter((thing) => thing === 'mail' || thing === 'chat' || thing === 'page');
      return ways.length === 0 || ways.some((way) => words.things.has(way));
    }
    if (words.things.size === 0 && words.words.size === 0) return true;
    // To send something is to pay only where it is money.
    if (labels.includes('payment') && !mention.groups.has('pay') && mention.groups.has('send'))
      return mention.things.has('money');
    if (mention.things.size > 0) return shares(words.things, mention.things);
    if (shares(words.things, mention.sentence.things)) return true;
    if (shares(words.words, mention.sentence.words)) return true;
    return (
      pronounStands(purpose, mention) && (shares(words.things, purpose.things) || shares(words.words, purpose.words))
    );
  };
  const mentions = purpose.mentions.filter((mention) => isNamed(mention) && isAbout(mention));
  if (mentions.length === 0) return { ...nothing, delegates, budget: delegates ? -1 : 0 };
  const isStrict = labels.some((label) => strict.includes(label));
  const budget = delegates ? -1 : countOf(mentions, isStrict);
  return {
    given,
    asks: true,
    delegates,
    budget,
    requests: mentions.map((mention) => requestOf(purpose, mention, words.things)).join(),
    names: budget === -1 || !(isMessage || labels.includes('permission')) ? [] : mentions.flatMap(({ names }) => names),
    links: mentions.some(
      ({ sentence }) =>
        sentence.links || (purpose.asksForLinks && [...sentence.words].some((word) => standsForThings.test(word))),
    ),
  };
};

/** "A hotel and a car" are two requests in one; two ways to send one message are one. */
const requestOf = (purpose: Purpose, mention: Mention, about: ReadonlySet<Thing>): string => {
  const own = objects.filter((thing) => about.has(thing) && mention.things.has(thing));
  return [purpose.mentions.indexOf(mention), ...own].join(' ');
};
const objects: readonly Thing[] = ['hotel', 'restaurant', 'car', 'flight', 'event', 'file', 'task', 'code', 'record'];

const pronounStands = (_: Purpose, mention: Mention): boolean =>
  [...mention.sentence.words].some((word) => pronoun.test(word));
