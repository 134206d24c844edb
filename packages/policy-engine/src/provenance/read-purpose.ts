import { unmask } from './normalise.ts';
import { impliedThings, nounsToo, singular, type Thing, thingsIn, type VerbGroup, verbs, wordsFor } from './words.ts';

// What a purpose says, taken apart: its verbs with what they are about, whom they name and how many they mean, and the pages that it
// wants to be read. Every pattern is bounded, and a purpose is at most 8,192 characters.

export interface Mention {
  verb: string;
  /** Whom it names: words that begin with a capital behind the verb, "to" or "with". Lower case. */
  names: readonly string[];
  groups: ReadonlySet<VerbGroup>;
  things: ReadonlySet<Thing>;
  /** Its object speaks of several without a number. */
  isPlural: boolean;
  /** Conjunctions in it: "to Bob, and to Alice". */
  joints: number;
  /** Things and words of the whole sentence, where a pronoun stands for what was named before. */
  sentence: Sentence;
}
interface Sentence {
  /** It wants links themselves to be told or passed on. */
  links: boolean;
  things: ReadonlySet<Thing>;
  words: ReadonlySet<string>;
  /** Words for numbers that count what is asked for: a table for two is one table. */
  counts: ReadonlySet<string>;
}
export interface Purpose {
  text: string;
  /** As it was given, letter by letter. */
  written: string;
  mentions: Mention[];
  delegates: boolean;
  asksForLinks: boolean;
  things: ReadonlySet<Thing>;
  words: ReadonlySet<string>;
  /** How many pages it wants to be read. */
  pages: number;
  pluralPages: boolean;
  /** It says which page it means. Where it does, a link that stands in text only is another one. */
  namesPages: boolean;
}

const verbPlace = new Set(
  'please to and then also or you i we must should could can just now , next finally kindly them let need afterwards after instead so do'.split(
    ' ',
  ),
);
const everything =
  /\b(?:all(?!-)|each|every|both|everyone|everybody|several|multiple|various|any|whoever|anyone|them all|everything|respective|individually|separate|separately|to them|list of)\b/i;
const delegation =
  /\b(?:follow|do|perform|carry out|execute|complete|apply|act on|handle|take care of|work through|go through)\b[^.!?\n]{0,80}\b(?:instructions?|actions?|steps?|tasks?|to-?dos?|requests?|checklist|it says|specified|described|listed|mentioned|requested|asked|outlined)\b|\baccordingly\b|\bas (?:described|instructed|specified|requested|per|explained|stated|indicated|told|asked)\b|\bbased on the instructions\b/i;
/** What "the following tasks" are stands in the purpose itself. */
const inPurpose = /\bthe (?:following|below)\b[^.!?\n:]{0,60}/gi;
const address = /[a-z0-9._%+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,6}[a-z0-9-]{2,63}/gi;
const pageWord =
  /\b(?:web ?pages?|pages?|websites?|sites?|urls?|links?|articles?|blogs?|blog posts?)\b|https?:\/\/|\bwww\.|\b[a-z0-9-]{2,63}\.(?:com|org|net|io|dev|co|info)\b/gi;
/** Links themselves are to be told, collected or passed on; not what stands behind them. */
const linkWords =
  /\b(?:get|give|find|list|collect|gather|share|post|send|forward|tell|show|include|add|attach|return|extract)\b(?:(?!\b(?:to|on|at|of|from|about|in|summary|content)\b)[^.!?\n]){0,40}\b(?:links?|urls?|websites?|sites?)\b/i;
/** Behind these, a page is to be read. */
const readsPage =
  /\b(?:visit|open|read|browse|summari[sz]e|check|look|see|get|go|find|fetch|download|research|review|according|based|follow|do|explore|use|study|translate|analy[sz]e|what|info(?:rmation)?)\b/i;
const readsContent =
  /\b(?:visit|open|read|browse|summar[iy]\w*|translate|analy[sz]e|contents?|according|based|follow)\b/i;
const explicitPage =
  /(?:\bhttps?:\/\/|\bwww\.)[^\s<>"'),;]{1,512}|\b(?:[a-z0-9-]{2,63}\.){1,4}(?:com|org|net|io|dev|co|info)\b/gi;
const groupsOf = (word: string): VerbGroup[] =>
  (Object.keys(verbs) as VerbGroup[]).filter((group) => verbs[group].has(word));

const isVerb = (word: string, before: string | undefined): boolean =>
  groupsOf(word).length > 0 &&
  !(nounsToo.has(word) && before !== undefined && !verbPlace.has(before) && !/^[;:]$|ly$/.test(before));

const joined: [RegExp, string][] = [
  [/\bset(?:ting)? up\b/gi, 'create'],
  [/\bmake (?:a |the |my )?(?:reservation|booking)s?\b/gi, 'reserve reservation'],
  [/\b(?:get|give) rid of\b/gi, 'delete'],
  [/\bwrite (?:to|an? (?:e-?mail|message))\b/gi, 'send message'],
  [/\bgive (\S{1,64}) access\b/gi, 'grant $1 access'],
  [/\blet ([^!?,;\n]{1,80}?) know\b/gi, 'notify $1'],
  [/\b[Ww]rite (?:\S{1,32} ){1,4}?to (?=[A-Z]|(?:him|her|them|everyone|everybody|all|each)\b)/g, 'send message to '],
  [/\bmake sure (?:to|that)\b/gi, 'please'],
  [/\bdo(?:n['’]t| not) forget to\b/gi, 'please'],
  [/\b(?:go|head|navigate) to\b/gi, 'visit'],
  [/\bsign (?:\S{1,64} )?up\b/gi, 'register'],
  [/\bcall off\b/gi, 'cancel'],
  [
    /\b(?:return|give|provide|report)\b([^.!?\n]{0,80}?)\b(?:as an?|in an?|by|via|through) (e-?mail|message|dm|text)\b/gi,
    'send message$1',
  ],
  [/\btake (?:\S{1,64} )?off\b/gi, 'remove'],
  // What is for the user is no message to anybody.
  [/\bremind (?:me|us)\b/gi, 'create reminder'],
  [/\b(?:tell|show|give|inform|notify|answer|alert) (?:me|us)\b/gi, 'list'],
];

const beforeNames = /^(?:to|with|for|and|,)$/i;
/** The first word is the verb. */
const namesIn = (tokens: readonly string[]): string[] =>
  tokens.flatMap((token, i) => {
    const before = tokens[i - 1];
    const isName = before !== undefined && (i === 1 || beforeNames.test(before)) && /^\p{Lu}\p{Ll}+/u.test(token);
    const word = token.toLowerCase().replace(/['’]s$|[.'’]+$/g, '');
    return isName && word.length >= 3 && !notNames.has(word) && thingsIn([word]).size === 0 ? [word] : [];
  });
const notNames = new Set(
  'january february march april may june july august september october november december monday tuesday wednesday thursday friday saturday sunday the this that these please also then all each every everyone everybody any'.split(
    ' ',
  ),
);

/** "… to Bob, and … to Alice": how often it goes on to somebody or something else. */
const jointsIn = (tokens: readonly string[]): number =>
  tokens.filter((token, i) => /^(?:,|and)$/i.test(token) && goesOn.test(tokens[i + 1] ?? '')).length;
const goesOn = /^(?:to|with|for|quoted)$|^\p{Lu}|@|\d/u;

/** "should be invited and added": as if somebody were told to. */
const passive = /\bbe (?:also |then |first )?(\p{L}{2,20}ed(?:(?:,|,? and) \p{L}{2,20}ed){0,3})\b/giu;
const baseOf = (word: string): string =>
  [word.slice(0, -1), word.slice(0, -2), word.slice(0, -3)].find((base) => groupsOf(base).length > 0) ?? word;
const active = (text: string): string =>
  text.replace(
    passive,
    (_, words: string) => `please ${words.replace(/\p{L}+ed\b/giu, (word) => baseOf(word.toLowerCase()))}`,
  );

const readSentence = (text: string): { sentence: Sentence; mentions: Omit<Mention, 'sentence'>[] } => {
  let plain = active(text);
  for (const [pattern, by] of joined) plain = plain.replace(pattern, by);
  const tokens = plain.match(/[\p{L}\p{N}@#][\p{L}\p{N}@#'’._-]*|[,;:]/gu) ?? [];
  const lower = tokens.map((token) => token.toLowerCase().replace(/[.'’]+$/, ''));
  const mentions: Omit<Mention, 'sentence'>[] = [];
  lower.forEach((word, i) => {
    const groups = groupsOf(word);
    const before = lower[i - 1];
    if (!isVerb(word, before)) return;
    // Its object ends where the next clause begins; what a verb implies counts where it names nothing itself.
    const rest = lower.slice(i + 1, i + 41);
    const end = rest.findIndex(
      (next, at) => at > 0 && (/^(?:[;:]|then|because|so|if)$/.test(next) || isVerb(next, rest[at - 1])),
    );
    const after = end === -1 ? rest : rest.slice(0, end);
    const named = thingsIn(after);
    mentions.push({
      verb: word,
      names: namesIn(tokens.slice(i, i + 1 + after.length)),
      groups: new Set(groups),
      things: named.size > 0 ? named : new Set(impliedThings[word] ?? []),
      joints: jointsIn(tokens.slice(i + 1, i + 1 + after.length)),
      isPlural: everything.test(after.join(' ')) || (before !== undefined && everything.test(before)),
    });
  });
  const words = wordsFor(plain);
  return {
    sentence: {
      links: linkWords.test(text),
      things: thingsIn(words),
      words: new Set(words.map(singular)),
      counts: new Set(words.filter((_, i) => words[i - 1] !== 'for')),
    },
    mentions,
  };
};

/** Quoted text is what is to be said, not what is to be done. */
const withoutQuotes = (text: string): string =>
  text.replace(/"[^"\n]{0,2000}"|“[^”\n]{0,2000}”|(?<![\p{L}\p{N}])'[^'\n]{1,2000}'(?![\p{L}\p{N}])/gu, ' quoted ');

const pluralPage = /^(?:web ?pages|pages|websites|sites|urls|links|articles|blogs|blog posts)$/;
/** "the website www.example.com", "a page called example.com": one page, named. */
const introduced =
  /\b(?:web ?pages?|pages?|websites?|sites?|urls?|links?|articles?|blogs?|blog posts?)\b(?: (?:called|named|at|on|is|of|url|should|be|located|found|available)| [:'"(<]+)*[\s:'"(<]+(?=(?:https?:\/\/|www\.)|(?:[a-z0-9-]{2,63}\.){1,4}(?:com|org|net|io|dev|co|info)\b)/gi;
/** "the invoice that Bob sent": it may be behind a link. */
const passedOn = /\b(?:that|which|he|she|they|\p{Lu}\p{Ll}+) (?:has |have |had )?(?:sent|shared|linked|posted)\b/u;

/** The pages that a sentence wants to be read: those it names, and its words for others. */
const pagesIn = (sentence: string, toRead: boolean): { named: string[]; others: string[] } => {
  const named = (sentence.match(explicitPage) ?? []).map((page) => page.toLowerCase());
  const rest = sentence.replace(introduced, ' ').replace(explicitPage, ' ');
  const words = (rest.match(pageWord) ?? []).map((word) => word.toLowerCase());
  const others = words.length === 0 && passedOn.test(sentence) ? ['what was passed on'] : words.slice(0, 1);
  // A list of links is no page to be read, unless it says so.
  const isListed = linkWords.test(sentence) && !readsContent.test(sentence);
  return { named, others: toRead && !isListed ? others : [] };
};

export const readPurpose = (text: string): Purpose => {
  const shown = unmask(text);
  const plain = withoutQuotes(shown);
  // A full stop within an address or a number ends nothing.
  const sentences = plain.split(/[.!?]+(?=\s|$)|\n+/).filter((sentence) => sentence.trim() !== '');
  const read = sentences.map(readSentence);
  const toRead = readsPage.test(plain);
  const pages = sentences.map((sentence) => pagesIn(sentence.replace(address, ' '), toRead));
  const others = pages.flatMap((page) => page.others);
  const named = pages.flatMap((page) => page.named);
  return {
    text: shown.toLowerCase(),
    written: text,
    mentions: read.flatMap(({ sentence, mentions }) => mentions.map((mention) => ({ ...mention, sentence }))),
    delegates: delegation.test(plain.replace(inPurpose, ' ')),
    asksForLinks: linkWords.test(plain),
    things: new Set(read.flatMap(({ sentence }) => [...sentence.things])),
    words: new Set(read.flatMap(({ sentence }) => [...sentence.words])),
    pages: others.length > 0 ? new Set(others).size : new Set(named).size,
    namesPages: named.length > 0 && others.length === 0,
    pluralPages: others.some((word) => pluralPage.test(word)),
  };
};
