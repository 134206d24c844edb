import type { Effect } from '@agentgate/contracts';
import { singular, type Thing, thingsIn, type VerbGroup, verbs, wordsFor } from './words.ts';

/** What a tool's words tell about it. */
export interface ToolWords {
  /** The verb that its name (or else its description) begins with, and the groups in which that verb stands. */
  verb: string | undefined;
  groups: ReadonlySet<VerbGroup>;
  /** What it is about: from its name, or where that says nothing, from its description and its parameters' names. */
  things: ReadonlySet<Thing>;
  /** All words of name and parameters. */
  words: ReadonlySet<string>;
}

export interface ToolText {
  /** Without the server. */
  name: string;
  description: string;
  input_schema: Record<string, unknown>;
  annotations: Record<string, unknown>;
}

const groupsOf = (word: string): VerbGroup[] =>
  Object.entries(verbs).flatMap(([group, words]) =>
    words.has(word) || (word.endsWith('s') && words.has(word.slice(0, -1))) ? [group as VerbGroup] : [],
  );

const parametersOf = ({ input_schema }: ToolText): string[] => {
  const { properties } = input_schema;
  return typeof properties === 'object' && properties !== null ? Object.keys(properties) : [];
};

export const wordsOfTool = (tool: ToolText): ToolWords => {
  const name = wordsFor(tool.name.replaceAll(/[_./-]/g, ' '));
  const description = wordsFor(tool.description.slice(0, 2_048));
  const parameters = parametersOf(tool).flatMap((parameter) => wordsFor(parameter.replaceAll('_', ' ')));
  // The description's first word says it in the third person ("Sends a …").
  const verb =
    name.find((word) => groupsOf(word).length > 0) ?? description.slice(0, 2).find((w) => groupsOf(w).length > 0);
  const nouns = name.filter((word) => word !== verb);
  const named = thingsIn(nouns);
  return {
    verb,
    groups: new Set(verb === undefined ? [] : groupsOf(verb)),
    things: named.size > 0 ? named : thingsIn([...description.slice(0, 64), ...parameters]),
    words: new Set([...nouns, ...parameters].map(singular)),
  };
};

const any = <T>(set: ReadonlySet<T>, ...wanted: T[]) => wanted.some((each) => set.has(each));
const looksLikeLink = (parameter: string) => /(^|_)(url|uri|link|href|website|webpage|endpoint)s?$/i.test(parameter);
const looksLikeAddress = (parameter: string) =>
  /e_?mail|recipient|(^|_)to$|participant|attendee|invitee/i.test(parameter);

/**
 * What a tool does, where the configuration does not say: by the first verb of its name. A tool that describes itself as
 * harmless is not believed (MCP: annotations are hints): they can only add. A tool that says nothing is taken to write.
 */
export const inferEffects = (tool: ToolText): Effect[] => {
  const { groups, things, verb } = wordsOfTool(tool);
  const found = new Set<Effect>();
  const parameters = parametersOf(tool);
  const takesLink = parameters.some(looksLikeLink);
  const takesAddress = parameters.some(looksLikeAddress);
  const changes = any(groups, 'create', 'change', 'send', 'pay', 'delete', 'permit', 'execute');
  if (any(groups, 'pay') || (changes && any(things, 'money') && !any(groups, 'delete'))) found.add('payment');
  if (any(groups, 'delete')) found.add('delete');
  if (changes && any(things, 'secret')) found.add('credential');
  if (any(groups, 'permit')) found.add('permission');
  if ((any(groups, 'create', 'change', 'delete') && any(things, 'group') && any(things, 'person')) || verb === 'invite')
    found.add('permission');
  if (any(groups, 'send') && !found.has('payment')) found.add('send');
  if (any(groups, 'create', 'change')) found.add('write');
  // Whoever is named in it hears of it.
  if (found.has('write') && takesAddress) found.add('send');
  if (any(groups, 'execute')) found.add('execute');
  if (found.size === 0 && (any(groups, 'fetch') || (takesLink && any(groups, 'read')))) found.add('fetch');
  if (found.size === 0 && any(groups, 'read')) found.add('read');
  if (found.size === 0) found.add('write');
  if (tool.annotations.destructiveHint === true) found.add('delete');
  return [...found];
};
