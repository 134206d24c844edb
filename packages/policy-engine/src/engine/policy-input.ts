import type { Obligations, ToolFlagKind } from '@agentgate/contracts';
import type { Fact } from '../conditions/where.ts';
import type { PurposeFact } from '../provenance/purpose.ts';
import type { TracedValue } from '../provenance/trace.ts';
import type { DlpFinding, EgressHost } from '../scan/findings.ts';

/** `input` of the policy (PROTOCOL.md, "Policy"). Times in milliseconds since the epoch. */
export interface PolicyInput {
  call: { tool: string; server: string; name: string; arguments: Record<string, unknown>; digest: string };
  tool: {
    labels: string[];
    annotations: Record<string, unknown>;
    schema_digest: string;
    pinned: boolean;
    /** What is odd about the definition, although it was accepted. */
    flags: ToolFlagKind[];
  };
  agent: { name: string; tenant: string; labels: string[] };
  session: {
    id: string;
    age_s: number;
    purpose: string;
    taint: string[];
    calls: number;
    denied: number;
    /** Whom the agent acts for, where the session names somebody. */
    person?: string;
  };
  provenance: Record<string, string[]>;
  approval: { granted: boolean; by: string; at: number } | null;
  now: number;
  facts: Facts;
}

/** What was found out about a call before the engine, because Rego could not find it out safely or fast. Packs that are off find nothing. */
export interface Facts {
  /** The user's purpose and this call. */
  purpose: PurposeFact;
  /** Where the values in the arguments came from, the most suspect first; at most 64. */
  values: TracedValue[];
  /** What the call says was copied from the text of an untrusted result. */
  copied: boolean;
  /** Values that were not looked at, or not remembered, because there were too many or too long. */
  overflow: boolean;
  dlp: DlpFinding[];
  hosts: EgressHost[];
  /** The operator's exception that covers this very call now, if there is one. */
  exception?: { id: string; owner: string; until: string };
  /** What the configuration asks for with this tool. */
  profile: Pick<Obligations, 'taint' | 'rate_limits' | 'redact' | 'evidence' | 'witnessed'>;
}

export const noFacts: Facts = {
  purpose: {
    given: false,
    asks: false,
    delegates: false,
    budget: 0,
    used: 0,
    links: false,
    names_pages: false,
    somebody_else: false,
  },
  values: [],
  copied: false,
  overflow: false,
  dlp: [],
  hosts: [],
  profile: {},
};

/** What the engine adds before it asks Rego: one fact for each conditional grant about this agent and tool, by the grant's id. */
export type InputWithFacts = Omit<PolicyInput, 'facts'> & { facts: Facts & { grants: Record<string, Fact> } };
