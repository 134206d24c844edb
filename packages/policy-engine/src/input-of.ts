import type { ToolFlagKind } from '@agentgate/contracts';
import type { PolicyInput } from './engine/policy-input.ts';
import type { Asked, Found } from './facts.ts';
import { splitTool } from './grants/policy-data.ts';

export interface InputParts {
  asked: Asked & { labels: string[] };
  found: Found;
  /** Of the call (PROTOCOL.md, "Policy"). */
  digest: string;
  /** What is odd about the tool's accepted definition. */
  flags: ToolFlagKind[];
  /** What a person said. */
  approval: PolicyInput['approval'];
  exception?: PolicyInput['facts']['exception'] | undefined;
  now: number;
}

/** Each once. Mostly there is none. */
const once = <T>(values: T[]): T[] => (values.length < 2 ? values : [...new Set(values)]);

/** What the engine is asked about a call: the same for one that is decided now and for one that is tried again. */
export const inputOf = ({ asked, found, digest, flags, approval, exception, now }: InputParts): PolicyInput => {
  const { ask, session, tool, labels } = asked;
  return {
    call: { tool: ask.tool, ...splitTool(ask.tool), arguments: ask.arguments, digest },
    tool: {
      labels: found.labels,
      annotations: tool.annotations,
      schema_digest: tool.schema_digest,
      // No other comes here.
      pinned: true,
      flags: once(flags),
    },
    agent: { name: ask.agent, tenant: ask.tenant, labels },
    session: {
      id: ask.session,
      age_s: Math.max(0, Math.floor((now - session.openedAt) / 1000)),
      purpose: session.purpose,
      taint: once([...session.taint.session, ...session.taint.agent]).sort(),
      calls: session.calls,
      denied: session.denied,
      ...(session.subject && { person: session.subject.person }),
    },
    provenance: found.provenance,
    approval,
    now,
    facts: exception ? { ...found.facts, exception } : found.facts,
  };
};
