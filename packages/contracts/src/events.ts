import { z } from 'zod';
import { code } from './codes.ts';
import { disclosureScope } from './erasure.ts';
import { incidentKind, ledBy } from './incident.ts';
import { leaseEnd } from './internal.ts';
import {
  approvalId,
  callId,
  digest,
  eventId,
  exceptionId,
  holdId,
  incidentId,
  instance,
  json,
  name,
  sessionId,
  timestamp,
  toolName,
} from './names.ts';
import { killReceipt, scope } from './operator.ts';
import { decision, policyRevision } from './permit.ts';
import { policyVersion } from './policy-revisions.ts';
import { exceptionLimits, policyException, shadowTotals } from './policy-trials.ts';
import { quarantineReason, toolFlags } from './tool-pin.ts';

/** SHA-256 over a salt and the canonical form (evidence's `saltedDigest`); `bytes` is the canonical form's length. The salt is a disclosure. */
const saltedDigest = z.strictObject({ sha256: digest, bytes: z.int().min(0) });

/** What shows that a lease is over. `refused`: it was tried after its end and refused; `unprovable`: there is no way to try. */
const leaseProof = z.strictObject({
  kind: z.enum(['refused', 'unprovable']),
  detail: z.string().max(256),
  /** With `unprovable`: until when the provider may still take it. */
  good_until: timestamp.optional(),
});
export type LeaseProof = z.infer<typeof leaseProof>;

const toolVerdict = {
  tool: toolName,
  schema_digest: digest,
  was: digest.optional(),
  by: z.string(),
  reason: z.string().optional(),
};
const ofIncident = { incident: incidentId.optional() };
const anIncident = { incident: incidentId, scope };
/** A key that signs events: whose (a service, or the deployment itself), its id, and the public key's 32 bytes in base64url. */
const producerKey = { service: name, keyid: z.string().regex(/^[0-9a-f]{16}$/), key: z.string().length(43) };

const approvalEvent = { approval: approvalId, call: callId };

/** `data` of each event type that is produced today (PROTOCOL.md, "Types"). */
export const eventData = {
  'session.opened': z.strictObject({
    session: sessionId,
    expires_at: timestamp,
    purpose: z.string().optional(),
    /** Whom the agent acts for, and who says so. */
    person: z.strictObject({ id: z.string(), issuer: z.string() }).optional(),
  }),
  /** An operator took taint labels off; `on` says what they stuck to. */
  'session.cleared': z.strictObject({
    on: z.strictObject({ session: sessionId.optional(), agent: name.optional() }),
    labels: z.array(name),
    by: z.string(),
    reason: z.string(),
  }),
  'call.decided': z.strictObject({
    call: callId,
    tool: toolName,
    arguments: json.optional(),
    arguments_digest: saltedDigest.optional(),
    /** JSON pointers into `arguments` where policy had a value taken out. */
    redacted: z.array(z.string()).optional(),
    decision,
    policy: policyRevision.optional(),
    kill_epoch: z.int().min(0).optional(),
    approval: approvalId.optional(),
    /** Milliseconds since the epoch; only where the call is dispatched: an outcome must follow. */
    deadline: z.int().optional(),
  }),
  'call.completed': z.strictObject({
    call: callId,
    tool: toolName,
    outcome: z.enum(['ok', 'tool_error', 'aborted', 'timeout', 'unknown']),
    code,
    duration_ms: z.number(),
    /** Salted, too: results may be of few possible values. */
    result_digest: digest.optional(),
    lease: z.string().optional(),
    redacted: z.array(z.string()),
  }),
  'kill.ordered': z.strictObject({
    epoch: z.int(),
    scope,
    reason: z.string(),
    by: z.string(),
    expires_at: timestamp.optional(),
    ...ofIncident,
    /** Of an automatic order: the events that led to it. */
    events: ledBy.optional(),
  }),
  /**
   * An alarm: the order was not written, or nobody can say so. What ran in its scope was ended by then, and its leases revoked; whether the scope
   * is killed, the list of kills tells.
   */
  'kill.failed': z.strictObject({ scope, reason: z.string(), by: z.string(), why: z.string() }),
  'kill.lifted': z.strictObject({ epoch: z.int(), scope, reason: z.string(), by: z.string(), ...ofIncident }),
  /** Another operator has to ask the same before it is lifted. */
  'kill.lift_asked': z.strictObject({ epoch: z.int(), scope, reason: z.string(), by: z.string() }),
  'kill.contained': killReceipt,
  /** A rule of `containment` was met; the order follows. */
  'incident.opened': z.strictObject({
    ...anIncident,
    rule: name,
    kind: incidentKind,
    reason: z.string(),
    events: ledBy,
  }),
  /** The order's receipt is here. `contained: false` is an alarm; so is every lease that is irrevocable. */
  'incident.contained': z.strictObject({
    ...anIncident,
    epoch: z.int(),
    contained: z.boolean(),
    contained_in_ms: z.number(),
    silent: z.array(z.string()).max(1_024),
    irrevocable: z.array(z.string()),
  }),
  /** An alarm: nobody took the order yet. It is asked for again and again. */
  'incident.failed': z.strictObject({ ...anIncident, problem: z.string() }),
  'incident.noted': z.strictObject({ ...anIncident, by: z.string(), text: z.string() }),
  'incident.released': z.strictObject({ ...anIncident, epoch: z.int(), reason: z.string(), by: z.string() }),
  'lease.issued': z.strictObject({
    lease: z.string(),
    credential: name,
    provider: z.string(),
    call: callId,
    scope: z.string().optional(),
    /** Whom the agent acted for, where that decided what was made. */
    person: z.string().optional(),
    expires_at: timestamp,
  }),
  /** `call` asked for more time, with a permit of its own. */
  'lease.renewed': z.strictObject({ lease: z.string(), credential: name, call: callId, expires_at: timestamp }),
  'lease.revoked': z.strictObject({
    lease: z.string(),
    credential: name,
    /** Absent for what was found at a provider without a lease of ours. */
    call: callId.optional(),
    why: leaseEnd,
    by: z.string().optional(),
    reason: z.string().optional(),
    proof: leaseProof,
  }),
  /** It could not be ended: it may live until `expires_at` or, where that does not end it, for ever. */
  'lease.irrevocable': z.strictObject({
    lease: z.string(),
    credential: name,
    call: callId,
    tries: z.int(),
    problem: z.string(),
    expires_at: timestamp,
  }),
  'approval.requested': z.strictObject({
    ...approvalEvent,
    tool: toolName,
    reason: z.string(),
    rule: z.string().optional(),
    expires_at: timestamp,
    policy: policyRevision,
  }),
  'approval.granted': z.strictObject({ ...approvalEvent, by: name, reason: z.string().optional() }),
  'approval.rejected': z.strictObject({ ...approvalEvent, by: name, reason: z.string().optional() }),
  'approval.expired': z.strictObject(approvalEvent),
  'approval.voided': z.strictObject({ ...approvalEvent, why: z.string() }),
  /** `call` asked with it; `for` was the call that asked for it. */
  'approval.consumed': z.strictObject({ approval: approvalId, call: callId, for: callId, by: z.array(name) }),
  /** A replica decides by it from now on. Without an epoch: it is what agentgate.yaml says, and nothing was ever pushed over it. */
  'policy.activated': z.strictObject({
    revision: z.string(),
    digest,
    version: policyVersion.optional(),
    epoch: z.int().min(1).optional(),
    /** Of the bundle's archive. */
    bundle: digest.optional(),
    /** `start`: the replica came up with it. */
    action: z.enum(['start', 'activate', 'rollback']).optional(),
    by: name.optional(),
    reason: z.string().optional(),
  }),
  'policy.pushed': z.strictObject({ ...policyRevision.shape, version: policyVersion, bundle: digest, by: name }),
  /** A bundle that a replica did not take. What it decided by before, it still decides by. */
  'policy.rejected': z.strictObject({
    stage: z.enum(['push', 'activate', 'rollback', 'start']),
    bundle: digest.optional(),
    version: policyVersion.optional(),
    by: name.optional(),
    reason: z.string().max(2048),
  }),
  /** Another engineer has to ask the same before it is activated. */
  'policy.activation_asked': z.strictObject({ version: policyVersion, bundle: digest, by: name, reason: z.string() }),
  /** An operator lets it pass until then. Nothing counts that is not in evidence first. */
  'policy.exception_added': z.strictObject({
    exception: exceptionId,
    tools: z.array(toolName).max(exceptionLimits.tools),
    where: policyException.shape.where,
    owner: z.string(),
    reason: z.string(),
    by: name,
    /** Who asked for it first, where two operators have to. */
    asked_by: name.optional(),
    until: timestamp,
  }),
  /** Another operator has to ask the same before it counts. */
  'policy.exception_asked': z.strictObject({
    tools: z.array(toolName).max(exceptionLimits.tools),
    where: policyException.shape.where,
    reason: z.string(),
    by: name,
    for_s: z.int(),
  }),
  /** By an operator, or by itself (`expired`: it counted no longer than to its `until`, whenever this is written). */
  'policy.exception_ended': z.strictObject({
    exception: exceptionId,
    why: z.enum(['operator', 'expired']),
    by: name.optional(),
    reason: z.string().optional(),
  }),
  /** Another revision decides beside the active one, without effect; without a version, none does any more. `before` is what the last one came to. */
  'policy.shadowed': z.strictObject({
    version: policyVersion.optional(),
    policy: policyRevision.optional(),
    by: name,
    reason: z.string(),
    before: z.strictObject({ version: policyVersion, ...shadowTotals.omit({ kinds: true }).shape }).optional(),
  }),
  /** First seen, and trusted unless `tool.quarantined` follows. */
  'tool.registered': z.strictObject({ tool: toolName, schema_digest: digest, flags: toolFlags }),
  'tool.changed': z.strictObject({ tool: toolName, was: digest, schema_digest: digest, flags: toolFlags }),
  /** Nobody may call it until an operator accepts or rejects this definition; `accepted` is the one that was good before. */
  'tool.quarantined': z.strictObject({
    tool: toolName,
    schema_digest: digest,
    accepted: digest.optional(),
    why: quarantineReason,
    flags: toolFlags,
  }),
  /** `by` is an operator, or `agentgate.yaml` where that names the digest. */
  'tool.accepted': z.strictObject({ ...toolVerdict, flags: toolFlags }),
  'tool.rejected': z.strictObject(toolVerdict),
  'producer.started': z.strictObject({ service: name, instance, version: z.string(), keyid: z.string() }),
  'producer.stopped': z.strictObject({ service: name, instance, events: z.int() }),
  'producer.heartbeat': z.strictObject({ service: name, instance, events: z.int() }),
  /**
   * From this entry on the key signs for `agentgate/<service>/…`. Sealed by the deployment's key; the first entry of a log is the
   * deployment's own, which vouches for itself: the log's checkpoint and its witnesses vouch for the entry.
   */
  'key.added': z.strictObject(producerKey),
  /** From this entry on it signs no more. */
  'key.revoked': z.strictObject(producerKey),
  /** The disclosures of `events` events are gone for good; their digests, and every proof, are as before. */
  'evidence.erased': z.strictObject({ scope: disclosureScope, events: z.int(), reason: z.string(), by: z.string() }),
  'evidence.held': z.strictObject({ hold: holdId, scope: disclosureScope, reason: z.string(), by: z.string() }),
  'evidence.released': z.strictObject({ hold: holdId, scope: disclosureScope, reason: z.string(), by: z.string() }),
  /** A person was told what opens this event's digests. */
  'evidence.disclosed': z.strictObject({ event: eventId, fields: z.array(z.string()), by: z.string() }),
  'evidence.anomaly': z.strictObject({
    kind: z.string().max(64),
    about: z.string().max(512),
    detail: z.string().max(2048),
  }),
} as const;

export type EventName = keyof typeof eventData;
export type EventData<N extends EventName> = z.infer<(typeof eventData)[N]>;
export const eventType = (event: string): string => `agentgate.${event}.v1`;

/** A CloudEvents 1.0 structured event without what its producer adds (producerepoch, producerseq, producerprev). */
export interface EventDraft<N extends EventName = EventName> {
  name: N;
  /** The call, session, scope or lease that it is about. */
  subject: string;
  tenant?: string;
  agent?: string;
  session?: string;
  data: EventData<N>;
  /** What opens the digests in `data` (evidence's `Disclosure`): travels beside the event, and can be erased. */
  disclosures?: readonly { field: string; salt: string; value?: unknown }[];
}

/** The producer that says which keys sign for whom: no process, but batches that the ground seals beforehand with the deployment's key. */
export const deploymentProducer = 'deployment';

/** The wire batch that a producer publishes to `events.v1.<service>`; `events` are canonical texts. packages/evidence makes and opens it. */
export const eventSource = (service: string, instanceName: string): string => `agentgate/${service}/${instanceName}`;
