import {
  AgentGateError,
  type EventData,
  type ExecuteAsk,
  eventData,
  eventSource,
  eventType,
  type PermitClaims,
  redactAt,
} from '@agentgate/contracts';
import { canonical, type KeyRing, leafHash, matchesSaltedDigest, verifyEntry, verifyProof } from '@agentgate/evidence';
import type { Witnesses } from '@agentgate/runtime';

/** Throws unless the permit asks for no witness, or a quorum of them saw the decision of exactly this call in the evidence log. */
export type WitnessCheck = (ask: ExecuteAsk, claims: PermitClaims) => void;

export interface WitnessCheckOptions {
  /** Verifies what ingress sealed. */
  keys: KeyRing;
  witnesses: Witnesses;
}

/** Ingress brings the proof and may be compromised; so may audit, which made it. Neither is believed: the proof is verified here. */
export const createWitnessCheck =
  ({ keys, witnesses: { origin, keys: logKeys, policy } }: WitnessCheckOptions): WitnessCheck =>
  (ask, claims) => {
    if (claims.obligations.witnessed !== true) return;
    if (!policy) throw unwitnessed('no witness is configured');
    if (!ask.witnessed) throw unwitnessed('no proof came with it');
    const { entry, proof } = ask.witnessed;
    const read = verifyEntry(entry, { keys });
    if (!read.ok) throw unwitnessed(`the entry is not one: ${read.reason}`);
    refuseOtherDecision(read.entry.event, ask, claims);
    const seen = verifyProof(proof, { leafHash: leafHash(entry), origin, keys: logKeys, witnesses: policy });
    if (!seen.ok) throw unwitnessed(seen.reason);
  };

/** The event says of this very call that it was allowed, under the permit that lies here. */
const refuseOtherDecision = (
  event: { type: string; source: string; tenant?: string; agent?: string; session?: string; data: unknown },
  ask: ExecuteAsk,
  claims: PermitClaims,
): void => {
  if (event.type !== eventType('call.decided') || !event.source.startsWith(eventSource('ingress', '')))
    throw unwitnessed('the entry is not a decision of ingress');
  const data = eventData['call.decided'].safeParse(event.data);
  if (!data.success) throw unwitnessed('the entry is not a decision of this version');
  const { call, tool, decision, policy, deadline } = data.data;
  const said = { ...event, call, tool };
  for (const field of ['call', 'tenant', 'agent', 'session', 'tool'] as const)
    if (said[field] !== ask[field]) throw unwitnessed(`the entry is about another ${field}`);
  if (decision.action !== 'allow') throw unwitnessed('the entry does not allow it');
  const told = canonical([decision.obligations, policy ?? null, deadline ?? null]);
  if (told !== canonical([claims.obligations, claims.policy, claims.deadline]))
    throw unwitnessed('the entry tells of another permit');
  if (!showsArguments(data.data, ask, claims)) throw unwitnessed('the entry shows other arguments');
};

const showsArguments = (
  { arguments: shown, arguments_digest: digest, redacted }: EventData<'call.decided'>,
  ask: ExecuteAsk,
  { obligations }: PermitClaims,
): boolean => {
  const { value } = redactAt(ask.arguments, obligations.redact?.arguments ?? []);
  // What is too large for the event is hashed as the event would have shown it.
  const hashed = redacted === undefined ? ask.arguments : value;
  if (digest) return matchesSaltedDigest(hashed, { salt: ask.witnessed?.salt ?? '', digest: digest.sha256 });
  return shown !== undefined && canonical(shown) === canonical(value);
};

const unwitnessed = (why: string) =>
  new AgentGateError('EVIDENCE_UNAVAILABLE', `the permit asks for witnesses of the decision: ${why}`.slice(0, 2048));
