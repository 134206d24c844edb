import { AgentGateError, type CatalogTool, type Code, type Decision, type ToolFlagKind } from '@agentgate/contracts';
import { canonical, sha256Hex } from '@agentgate/evidence';
import type { PolicyInput } from '../engine/policy-input.ts';
import type { Asked, Found } from '../facts.ts';
import { matchingGrants } from '../grants/lookup.ts';
import { splitTool } from '../grants/policy-data.ts';
import { inputOf } from '../input-of.ts';
import type { Instance } from '../instance.ts';
import { outcomeOf } from '../outcome.ts';
import type { Recall } from '../session-facts.ts';
import type { RecordedCall } from './recorded-calls.ts';

// Recorded calls, decided again by a revision: the same facts, engine and form of answer as when a call is decided. Where evidence does not
// hold what the decision rests on, the trial says so in place of guessing.

/** What an event did not hold, or what is not as it was. */
export const gaps = {
  arguments: 'its arguments stand in evidence as a digest',
  redacted: 'arguments were taken out of evidence that a rule looks at',
  purpose: 'the event that opened its session was not read, so its purpose is not known',
  memory: 'what its session saw before is in no event, and the pack provenance asks for it',
  agent: 'its agent is not known any more, so its labels are not',
  secrets: 'the secrets that the pack dlp looks for are not at hand here',
  tool: 'what its tool says of itself is not known, and a pack goes by that',
  failed: 'the engine gave no decision',
} as const;
export type Gap = keyof typeof gaps;

/** What the engine itself says. Every other code is said before or after it, by what a trial does not ask again. */
const ofTheEngine: readonly Code[] = [
  'OK',
  'NO_GRANT',
  'ARGUMENT_NOT_ALLOWED',
  'POLICY_DENIED',
  'POLICY_INVALID',
  'APPROVAL_REQUIRED',
  'FIELD_INVALID',
];
export const isSettledElsewhere = ({ code, rule }: Decision): boolean =>
  !ofTheEngine.includes(code) || (code === 'POLICY_DENIED' && rule === undefined);

export interface TrialWorld {
  /** Whether the secrets that the pack dlp is to look for, if any, are known here. */
  hasSecrets: boolean;
  /** Undefined for an agent that is not known. */
  labelsOf(tenant: string, agent: string): string[] | undefined;
  /** As an operator accepted it. */
  toolOf(tool: string): { tool: CatalogTool; flags: ToolFlagKind[] } | undefined;
}

export type Tried =
  | { kind: 'decided'; decision: Decision }
  /** No decision, or one that what is missing could have changed. */
  | { kind: 'unfaithful'; gaps: Gap[]; decision?: Decision };

/** A recall for calls whose sessions' memory is gone. */
export const nothingRemembered: Recall = {
  recall: async (asked) => asked.map(() => ({ sources: new Map(), written: new Set(), used: 0, full: false })),
};

export const askedOf = (call: RecordedCall, world: TrialWorld): Asked & { labels: string[] } => ({
  ask: {
    call: call.call,
    tenant: call.tenant,
    agent: call.agent,
    session: call.session,
    tool: call.tool,
    arguments: call.arguments ?? {},
    deadline: call.at,
  },
  session: call.facts,
  tool: world.toolOf(call.tool)?.tool ?? { ...unknownTool, name: call.tool },
  labels: world.labelsOf(call.tenant, call.agent) ?? [],
});
const unknownTool: CatalogTool = {
  v: 1,
  name: '',
  description: '',
  input_schema: {},
  annotations: {},
  schema_digest: '0'.repeat(64),
  seen_at: '',
};

export const inputOfRecorded = (call: RecordedCall, found: Found, world: TrialWorld): PolicyInput => {
  const asked = askedOf(call, world);
  const { agent, arguments: args, session, tenant, tool } = asked.ask;
  return inputOf({
    asked,
    found,
    digest: sha256Hex(canonical({ agent, arguments: args, call: call.call, session, tenant, tool })),
    flags: world.toolOf(call.tool)?.flags ?? [],
    approval: call.approval,
    exception: call.exception,
    now: call.at,
  });
};

const looksAtArguments = ['provenance', 'dlp', 'egress'] as const;
const goesByTheTool = ['provenance', 'destructive', 'egress'] as const;
const goesByThePurpose = ['provenance', 'destructive', 'egress'] as const;

/** What is missing of a call that this revision would look at. */
export const gapsOf = (call: RecordedCall, { data }: Pick<Instance, 'data'>, world: TrialWorld): Gap[] => {
  const on = (packs: readonly (keyof typeof data.policy.packs)[]) => packs.some((pack) => data.policy.packs[pack]);
  const labels = world.labelsOf(call.tenant, call.agent);
  const identity = { tenant: call.tenant, name: call.agent, labels: labels ?? [] };
  const isConditional = matchingGrants(data, identity, call.tool).some((n) => data.grants.list[n]?.conditional);
  const judgesArguments = isConditional || on(looksAtArguments) || on(goesByThePurpose);
  const found: Gap[] = [];
  if (!labels) found.push('agent');
  if (!call.arguments && judgesArguments) found.push('arguments');
  if (call.redacted.length > 0 && judgesArguments) found.push('redacted');
  if (!call.opened && on(goesByThePurpose)) found.push('purpose');
  if (call.remembers && on(['provenance'])) found.push('memory');
  if (!world.hasSecrets && on(['dlp'])) found.push('secrets');
  if (!world.toolOf(call.tool) && on(goesByTheTool)) found.push('tool');
  return found;
};

/** Only what a missing fact could not have changed is believed: what was remembered, or a secret, takes back nothing that denies. */
const isFirm = (found: readonly Gap[], { action }: Decision): boolean =>
  found.length === 0 || (action === 'deny' && found.every((gap) => gap === 'memory' || gap === 'secrets'));

/** Decides recorded calls again, in order. A call that a missing fact could decide otherwise comes back `unfaithful`. */
export const tryAgain = async (
  calls: readonly RecordedCall[],
  instance: Pick<Instance, 'data' | 'facts' | 'engine'>,
  world: TrialWorld,
): Promise<Tried[]> => {
  const found = await instance.facts.find(calls.map((call) => askedOf(call, world)));
  const inputs = calls.map((call, i) => inputOfRecorded(call, found[i] as Found, world));
  const evaluations = await instance.engine.decide(inputs);
  return calls.map((call, i): Tried => {
    const missing = gapsOf(call, instance, world);
    const decision = decisionOf(evaluations[i], { server: splitTool(call.tool).server, data: instance.data });
    if (!decision) return { kind: 'unfaithful', gaps: ['failed'] };
    return isFirm(missing, decision) ? { kind: 'decided', decision } : { kind: 'unfaithful', gaps: missing, decision };
  });
};

const decisionOf = (
  evaluation: Parameters<typeof outcomeOf>[0] | undefined,
  { server, data }: { server: string; data: Instance['data'] },
): Decision | undefined => {
  if (evaluation === undefined) return undefined;
  try {
    return outcomeOf(evaluation, { server, credentials: data.credentials });
  } catch (error) {
    if (error instanceof AgentGateError) return undefined;
    throw error;
  }
};
