import { type CatalogTool, createPointerMatch, effects, type ToolProfile } from '@agentgate/contracts';
import { inferEffects, type ToolWords, wordsOfTool } from './infer.ts';

type Path = readonly string[];

/** A tool as the packs see it: what the operator said of it, and what its words say where nobody did. */
export interface ToolDescription {
  labels: string[];
  /** It changes or says something, or goes where its arguments point: anything but a plain read. */
  acts: boolean;
  words: ToolWords;
  isTarget(path: Path): boolean;
  isContent(path: Path): boolean;
  results: {
    trusted: boolean;
    private: boolean;
    isStructured(path: Path): boolean;
    isText(path: Path): boolean;
  };
  /** Labels that a call leaves on its session and agent. */
  taint: string[];
  profile: ToolProfile | undefined;
}

const fits = (pattern: string, text: string): boolean => {
  const [before = '', after] = pattern.split('*', 2);
  if (after === undefined) return pattern === text;
  return text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after);
};
const names = (pattern: string, tool: string): boolean => {
  const [patternSlash, toolSlash] = [pattern.indexOf('/'), tool.indexOf('/')];
  return (
    fits(pattern.slice(0, patternSlash), tool.slice(0, toolSlash)) &&
    fits(pattern.slice(patternSlash + 1), tool.slice(toolSlash + 1))
  );
};

export const profileOf = (tool: string, profiles: readonly ToolProfile[]): ToolProfile | undefined =>
  profiles.find((profile) => profile.tools.some((pattern) => names(pattern, tool)));

const describe = (tool: CatalogTool, profiles: readonly ToolProfile[]): ToolDescription => {
  const profile = profileOf(tool.name, profiles);
  const text = { ...tool, name: tool.name.slice(tool.name.indexOf('/') + 1) };
  const said = profile?.labels ?? [];
  // Labels of the operator's own say nothing of what it does.
  const labels = effects.some((effect) => said.includes(effect)) ? said : [...said, ...inferEffects(text)];
  const { results } = profile ?? {};
  const trusted = results?.trust === 'trusted';
  const isPrivate = results?.private === true;
  return {
    labels,
    acts: labels.some((label) => label !== 'read' && (effects as readonly string[]).includes(label)),
    words: wordsOfTool(text),
    isTarget: createPointerMatch(profile?.arguments?.targets ?? []),
    isContent: createPointerMatch(profile?.arguments?.content ?? []),
    results: {
      trusted,
      private: isPrivate,
      isStructured: createPointerMatch(results?.structured ?? []),
      isText: createPointerMatch(results?.text ?? []),
    },
    taint: [
      ...new Set([
        ...(profile?.taint ?? []),
        ...(trusted ? [] : ['untrusted-read']),
        ...(isPrivate ? ['private-read'] : []),
      ]),
    ],
    profile,
  };
};

/** Descriptions, made once for each version of a tool. */
export const createDescriptions = (profiles: readonly ToolProfile[]): ((tool: CatalogTool) => ToolDescription) => {
  const known = new WeakMap<CatalogTool, ToolDescription>();
  return (tool) => {
    const found = known.get(tool);
    if (found) return found;
    const made = describe(tool, profiles);
    known.set(tool, made);
    return made;
  };
};
