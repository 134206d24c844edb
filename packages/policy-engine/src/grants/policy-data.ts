import type { Pack } from '@agentgate/contracts';

// What Rego knows as `data`, and TypeScript with it: grants under the keys by which a call finds them.

export interface GrantEntry {
  id: string;
  effect: 'allow' | 'require_approval' | 'deny';
  /** It has conditions on arguments: it counts only with a fact about this call. */
  conditional: boolean;
  /** Where `agents` and `labels` are both named, an agent needs one of these as well. */
  labels?: string[];
  /** Who has to approve, where a person is asked. */
  approvers?: { min: number; roles?: string[] | undefined };
}

/** One side of a tool pattern: the whole text, or the text before and after its one star. */
export type Part = [whole: string] | [before: string, after: string];

/** A grant for more tools than one; a part that is absent fits everything. */
export interface PatternEntry {
  grant: number;
  server?: Part;
  name?: Part;
}

/** Numbers of grants, by how closely they name the tool. */
export interface GrantsOf {
  exact: Record<string, number[]>;
  server: Record<string, PatternEntry[]>;
  any: PatternEntry[];
}

export interface CredentialOf {
  name: string;
  scope?: string;
  ttl_s?: number;
}

export interface PolicyData {
  grants: {
    list: GrantEntry[];
    /** By `agent:<tenant>/<name>`, `label:<tenant or *>/<label>`, `tenant:<tenant>`. */
    whom: Record<string, GrantsOf>;
  };
  /** By the server whose tools need it. */
  credentials: Record<string, CredentialOf>;
  /** By the server whose tools the gate itself lists with it (`list_with`). */
  listings: Record<string, CredentialOf>;
  policy: {
    /** The packs that are on. */
    packs: Partial<Record<Pack, true>>;
    /** `only_listed`: a host that the configuration does not list is refused. */
    egress: { only_listed: boolean };
  };
}

export interface AgentIdentity {
  tenant: string;
  name: string;
  labels: readonly string[];
}

/** A tool's full name is `<server>/<name>`; the name may hold further slashes. */
export const splitTool = (tool: string): { server: string; name: string } => {
  const slash = tool.indexOf('/');
  return { server: tool.slice(0, slash), name: tool.slice(slash + 1) };
};
