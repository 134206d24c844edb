import { toolName } from '@agentgate/contracts';

/**
 * What a client calls a tool: `<server>__<tool>`. MCP lets a name have A-Z, a-z, 0-9, `_`, `-` and `.`, and models' interfaces take no dot: whatever else
 * a server has in a tool's name is `_` here.
 */
export const clientName = (tool: string): string => tool.replace('/', '__').replaceAll(/[^A-Za-z0-9_-]/g, '_');

/** The full names behind each name that a client sees: more than one where two tools would be called the same. */
export type ToolNames = ReadonlyMap<string, readonly string[]>;

export const namesOf = (tools: readonly string[]): ToolNames => Map.groupBy(tools, clientName);

/**
 * The full name that a client means, or why it means none. A name that was not listed is asked for all the same, so that the attempt is decided, and
 * stands in evidence.
 */
export const fullName = (names: ToolNames, called: string): { tool: string } | { problem: string } => {
  const [tool, ...others] = names.get(called) ?? [];
  if (others.length > 0) return { problem: `${called} may be ${[tool, ...others].join(' or ')}: call it by that name` };
  const meant = tool ?? (called.includes('/') ? called : called.replace('__', '/'));
  return toolName.safeParse(meant).success ? { tool: meant } : { problem: `${called} is no name of a tool` };
};
