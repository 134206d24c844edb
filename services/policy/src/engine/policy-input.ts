import type { Fact } from '../conditions/where.ts';

/** `input` of the policy (PROTOCOL.md, "Policy"). Times in milliseconds since the epoch. */
export interface PolicyInput {
  call: { tool: string; server: string; name: string; arguments: Record<string, unknown>; digest: string };
  tool: { labels: string[]; annotations: Record<string, unknown>; schema_digest: string; pinned: boolean };
  agent: { name: string; tenant: string; labels: string[] };
  session: { id: string; age_s: number; purpose: string; taint: string[]; calls: number; denied: number };
  provenance: Record<string, string[]>;
  approval: { granted: boolean; by: string; at: number } | null;
  now: number;
}

/** What the engine adds before it asks Rego: one fact for each conditional grant about this agent and tool, by the grant's id. */
export type InputWithFacts = PolicyInput & { facts: Record<string, Fact> };
