import {
  type Code,
  callId,
  code,
  eventType,
  evidenceSubject,
  name,
  type RiskSignal,
  scope,
  scopeKey,
  sessionId,
  type TellingCode,
  telling,
  toolName,
} from '@agentgate/contracts';
import { createSealCache, type EvidenceEvent, type KeyRing, verifyEntry } from '@agentgate/evidence';
import { z } from 'zod';
import type { Doer, Happening } from './happening.ts';

/** A value that lies about as bait, in the spellings in which it may come back. */
export interface Bait {
  /** `<rule>/<name>` */
  name: string;
  spellings: readonly string[];
}

// An event is read leniently: what another version adds to it changes nothing here.
const decided = z.object({
  call: callId,
  tool: toolName,
  arguments: z.unknown().optional(),
  decision: z.object({ action: z.enum(['allow', 'deny', 'require_approval']), code }),
  policy: z.unknown().optional(),
});
const completed = z.object({
  tool: toolName,
  outcome: z.enum(['ok', 'tool_error', 'aborted', 'timeout', 'unknown']),
  code,
  redacted: z.array(z.string()),
});
const leased = z.object({ credential: name });
const anomaly = z.object({ kind: z.string().max(64) });
const lifted = z.object({ scope });
const doer = z.object({ tenant: name, agent: name, session: sessionId.optional() });

const isKilled = (c: Code) => c.startsWith('KILLED_');
const isTelling = (c: Code): c is TellingCode => (telling as readonly string[]).includes(c);

/**
 * Policy looks first whether the session is the caller's own, so whatever else it says, says that it is. What others say too (that somebody was
 * late, or that an argument has a wrong form) may stand in place of what policy said.
 */
const saidByPolicyAlone: ReadonlySet<Code> = new Set([
  'OK',
  'NO_GRANT',
  'ARGUMENT_NOT_ALLOWED',
  'POLICY_DENIED',
  'POLICY_INVALID',
  'UNKNOWN_TOOL',
  'TOOL_QUARANTINED',
  'SESSION_EXPIRED',
  'APPROVAL_REQUIRED',
  'APPROVAL_INVALID',
  'RATE_LIMITED',
] satisfies Code[]);
const ownsSession = (c: Code, isPolicys: boolean) => isPolicys && saidByPolicyAlone.has(c);

type Read = (event: EvidenceEvent, baits: readonly Bait[]) => Happening | undefined;

const readDecided: Read = ({ id, time, data, ...event }, baits) => {
  const { decision, tool, arguments: args, policy } = decided.parse(data);
  // Who is stopped already adds nothing by trying.
  if (isKilled(decision.code)) return undefined;
  const by = doerOf(event, ownsSession(decision.code, policy !== undefined));
  if (!by) return undefined;
  const isRefused = decision.action === 'deny' && isTelling(decision.code);
  return {
    id,
    at: Date.parse(time),
    kind: 'decided',
    by,
    tool,
    ...(isRefused && { refused: decision.code as TellingCode }),
    baits: baitsIn(args, baits),
  };
};
const baitsIn = (args: unknown, baits: readonly Bait[]): string[] => {
  if (baits.length === 0 || args === undefined) return [];
  const text = JSON.stringify(args);
  return baits.filter(({ spellings }) => spellings.some((s) => text.includes(s))).map((bait) => bait.name);
};

const readCompleted: Read = ({ id, time, data, ...event }) => {
  const { tool, outcome, code: why, redacted } = completed.parse(data);
  const by = doerOf(event, true);
  // What was stopped, or never handed over, says nothing of its tool.
  if (!by || (outcome === 'aborted' && why !== 'UPSTREAM_UNAVAILABLE')) return undefined;
  const risk: RiskSignal[] = [
    ...(outcome === 'tool_error' || outcome === 'timeout' ? [outcome] : []),
    ...(redacted.length > 0 ? (['secret_in_result'] as const) : []),
  ];
  return { id, at: Date.parse(time), kind: 'completed', by, tool, failed: outcome !== 'ok', risk };
};

const readLeased: Read = ({ id, time, data, ...event }) => {
  const by = doerOf(event, true);
  return by && { id, at: Date.parse(time), kind: 'leased', by, credential: leased.parse(data).credential };
};
const readRejected: Read = ({ id, time, ...event }) => {
  const by = doerOf(event, true);
  return by && { id, at: Date.parse(time), kind: 'approval_rejected', by };
};
const readAnomaly: Read = ({ id, time, data, ...event }) => {
  const by = doerOf(event, true);
  return by && { id, at: Date.parse(time), kind: 'anomaly', by, anomaly: anomaly.parse(data).kind };
};
const readLifted: Read = ({ id, time, data }) => ({
  id,
  at: Date.parse(time),
  kind: 'lifted',
  scope: scopeKey(lifted.parse(data).scope),
});

const doerOf = (event: Pick<EvidenceEvent, 'tenant' | 'agent' | 'session'>, isOwn: boolean): Doer | undefined => {
  const read = doer.safeParse(event);
  if (!read.success) return undefined;
  const { tenant, agent, session } = read.data;
  return { tenant, agent, ...(isOwn && session !== undefined && { session }) };
};

/** Each kind of event counts only from the service that it is the business of: no other can have somebody stopped by telling of it. */
const kinds: Record<string, { kind: Happening['kind']; from: string; read: Read }> = {
  [eventType('call.decided')]: { kind: 'decided', from: 'ingress', read: readDecided },
  [eventType('call.completed')]: { kind: 'completed', from: 'ingress', read: readCompleted },
  [eventType('lease.issued')]: { kind: 'leased', from: 'credential-broker', read: readLeased },
  [eventType('approval.rejected')]: { kind: 'approval_rejected', from: 'approvals', read: readRejected },
  [eventType('evidence.anomaly')]: { kind: 'anomaly', from: 'audit', read: readAnomaly },
  [eventType('kill.lifted')]: { kind: 'lifted', from: 'kill-switch', read: readLifted },
};

export interface EventReader {
  /** Under which subjects entries may tell anything that a rule asks for: the others need not come. */
  readonly subjects: readonly string[];
  /** What one entry of EVIDENCE tells that a rule asks for. Throws where it is no entry, or not signed by whom it should be. */
  read(subject: string, text: string): Happening | undefined;
}

/** `evidence.v1.<tenant>.<type>` */
const typeOf = (subject: string): string => {
  const version = subject.indexOf('.');
  const tenant = subject.indexOf('.', version + 1);
  const type = subject.indexOf('.', tenant + 1);
  return version < 0 || tenant < 0 || type < 0 ? '' : subject.slice(type + 1);
};
const kindOf = (type: string) => (Object.hasOwn(kinds, type) ? kinds[type] : undefined);

export interface EventReaderOptions {
  keys: KeyRing;
  baits: readonly Bait[];
  asksFor(kind: Happening['kind']): boolean;
  /** Whether any rule asks for it: most calls are of no interest, and need no verification. */
  isWanted(happening: Happening): boolean;
}

export const createEventReader = ({ keys, baits, asksFor, isWanted }: EventReaderOptions): EventReader => {
  const cache = createSealCache();
  return {
    subjects: Object.entries(kinds).flatMap(([type, { kind }]) => (asksFor(kind) ? [evidenceSubject('*', type)] : [])),
    read: (subject, text) => {
      const type = typeOf(subject);
      const kind = kindOf(type);
      if (!kind) return undefined;
      const told = kind.read((JSON.parse(text) as { event: EvidenceEvent }).event, baits);
      if (!told || !isWanted(told)) return undefined;
      const verdict = verifyEntry(text, { keys, cache });
      if (!verdict.ok) throw new Error(`${verdict.code}: ${verdict.reason}`);
      const { event } = verdict.entry;
      if (event.type !== type || event.source.split('/')[1] !== kind.from)
        throw new Error(`${event.type} by ${event.source} is not of ${kind.from}`);
      return told;
    },
  };
};
