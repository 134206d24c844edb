import { z } from 'zod';
import { toolListing } from './agent.ts';
import { approvalGrant, approvalQuestion } from './approvals.ts';
import { code } from './codes.ts';
import { batch, broadcast, notice, request } from './contract.ts';
import { providerKinds } from './credentials.ts';
import { automaticScope, ledBy } from './incident.ts';
import {
  approvalId,
  callId,
  digest,
  epochMs,
  eventId,
  incidentId,
  instance,
  json,
  limits,
  name,
  permitId,
  serviceName,
  sessionId,
  subjectId,
  timestamp,
  toolName,
} from './names.ts';
import { killReceipt, scope } from './operator.ts';
import { decision, obligations, policyRevision, seal } from './permit.ts';
import { policyVersion } from './policy-revisions.ts';
import { shadowCursor, shadowDifference, shadowReplica } from './policy-trials.ts';
import { toolDefinition } from './tool-pin.ts';

// Messages between services: ours to change. Identities in them were read by ingress from the subject that NATS enforced.

const v = z.literal(1);
const reason = z.string().max(2048);
const who = { tenant: name, agent: name };

/** Whom an agent acts for, as the issuer of their token calls them (`sub`). */
const personName = z.string().min(1).max(256);

// --- policy -------------------------------------------------------------------------------------------------------

/**
 * What a permit says; signed by policy over its canonical form (domain `agentgate-permit-v1`, line `policy`).
 * `call_digest` is SHA-256 over the canonical form of `{agent,arguments,call,session,tenant,tool}`.
 */
export const permitClaims = z.strictObject({
  // In canonical order: a parsed value serializes three times as fast.
  agent: name,
  /** Where a person had to be asked: the word of the approvals service that one allowed this very call. */
  approval: approvalGrant.optional(),
  call: callId,
  call_digest: digest,
  /** The call's own deadline: whatever runs under this permit ends by then. Milliseconds since the epoch, as the others. */
  deadline: epochMs,
  /** It is not to be started at or after, */
  expires_at: epochMs,
  id: permitId,
  /** nor before. */
  issued_at: epochMs,
  obligations,
  policy: policyRevision,
  /** Of the tool's definition as policy judged it: the runner runs no other. */
  schema_digest: digest,
  session: sessionId,
  /** Where the session names a person: whom the agent acts for. */
  subject: z.strictObject({ id: subjectId, person: personName }).optional(),
  tenant: name,
  tool: toolName,
  v,
});
export type PermitClaims = z.infer<typeof permitClaims>;
export const permit = z.strictObject({ claims: permitClaims, seal });
export type Permit = z.infer<typeof permit>;
const opaquePermit = z.custom<Permit>((value) => typeof value === 'object' && value !== null);
export const permitDomain = 'agentgate-permit-v1';
export const permitLines = ['policy'];

/** A call as ingress hands it on. */
export const theCall = z.strictObject({
  call: callId,
  ...who,
  session: sessionId,
  tool: toolName,
  arguments: json,
  deadline: epochMs,
});
export type TheCall = z.infer<typeof theCall>;

export const decideAsk = z.strictObject({ ...theCall.shape, approval: approvalId.optional() });
export type DecideAsk = z.infer<typeof decideAsk>;
export const decideAnswer = z.strictObject({
  decision,
  policy: policyRevision,
  /** Only with `allow`. Ingress hands it on unread: runner and broker take it apart, and believe nobody else's word of it. */
  permit: opaquePermit.optional(),
  /** With `allow`: policy wants to see the result before the agent does (`policyObserve`). */
  observe: z.literal(true).optional(),
  retry_after_ms: z.int().min(0).optional(),
  /** With `require_approval`: what to ask again with. */
  approval: z.strictObject({ id: approvalId, expires_at: timestamp }).optional(),
});
export type DecideAnswer = z.infer<typeof decideAnswer>;

export const policyDecide = batch('svc.v1.policy.decide', {
  ask: decideAsk,
  answer: decideAnswer,
  by: ['ingress'],
  of: 'policy',
  items: 64,
  late: false,
  timeoutMs: 1_500,
});
/** What a call gave, before the agent sees it: where values came from is remembered for the calls that follow. */
export const policyObserve = batch('svc.v1.policy.observe', {
  ask: z.strictObject({ call: callId, ...who, session: sessionId, tool: toolName, result: z.unknown() }),
  answer: z.strictObject({ v }),
  by: ['ingress'],
  of: 'policy',
  items: 64,
  late: false,
  timeoutMs: 1_500,
});
export const policyOpenSession = request('svc.v1.policy.open-session', {
  ask: z.strictObject({
    v,
    ...who,
    purpose: z.string().max(limits.purposeLength).optional(),
    subject: z.strictObject({ id: subjectId, person: personName, issuer: z.string().max(2048) }).optional(),
  }),
  answer: z.strictObject({ v, session: sessionId, expires_at: timestamp }),
  by: ['ingress'],
  of: 'policy',
  timeoutMs: 3_000,
});
/** The tools that policy may let this agent call with some arguments. */
export const policyVisible = request('svc.v1.policy.visible', {
  ask: z.strictObject({ v, ...who, session: sessionId.optional() }),
  answer: z.strictObject({ v, tools: z.array(toolListing) }),
  by: ['ingress'],
  of: 'policy',
  timeoutMs: 3_000,
});
/** Holds a session whose outcome is not in evidence yet: every call in it is denied until it is released. */
export const policyHold = request('svc.v1.policy.hold', {
  ask: z.strictObject({ v, ...who, session: sessionId, call: callId, held: z.boolean() }),
  answer: z.strictObject({ v }),
  by: ['ingress'],
  of: 'policy',
  timeoutMs: 1_000,
});

/** Each second from every replica of policy, and once when it leaves: a rollout names those that did not confirm. */
export const policyAlive = notice('svc.v1.policy.alive', {
  body: z.strictObject({ v, instance, epoch: z.int().min(0), state: z.enum(['up', 'leaving']) }),
  by: ['policy'],
  of: ['policy'],
});
/** Verifies and loads what is about to be activated. `problem`: it is refused, and why. */
export const policyPrepare = broadcast('svc.v1.policy.prepare', {
  ask: z.strictObject({
    v,
    version: policyVersion,
    bundle: digest.optional(),
    action: z.enum(['activate', 'rollback']),
    by: name,
  }),
  answer: z.strictObject({ v, instance, problem: reason.optional() }),
  by: ['policy'],
  of: ['policy'],
  timeoutMs: 15_000,
});
/** What the shadow said in each replica since it was last asked. */
export const policyShadowTold = broadcast('svc.v1.policy.shadow-told', {
  ask: z.strictObject({ v, after: shadowCursor }),
  answer: z.strictObject({
    v,
    ...shadowReplica.shape,
    differences: z.array(shadowDifference).max(256),
    missed: z.int().min(0),
    last: z.int().min(0),
  }),
  by: ['policy'],
  of: ['policy'],
  timeoutMs: 2_000,
});
/** Answers once the replica decides by the record of this epoch. */
export const policySettle = broadcast('svc.v1.policy.settle', {
  ask: z.strictObject({ v, epoch: z.int().min(1) }),
  answer: z.strictObject({ v, instance, epoch: z.int().min(1), problem: reason.optional() }),
  by: ['policy'],
  of: ['policy'],
  timeoutMs: 10_000,
});

// --- approvals ----------------------------------------------------------------------------------------------------

/** Asks a person. The same question that still waits keeps its id. */
export const approvalRequest = request('svc.v1.approvals.request', {
  ask: z.strictObject({ v, question: approvalQuestion }),
  answer: z.strictObject({ v, id: approvalId, expires_at: timestamp }),
  by: ['policy'],
  of: 'approvals',
  timeoutMs: 1_000,
});
/** Takes a granted approval for a call, once. Answers APPROVAL_INVALID, with why, for one that is not granted for exactly this. */
export const approvalRedeem = request('svc.v1.approvals.redeem', {
  ask: z.strictObject({
    v,
    approval: approvalId,
    binding: digest,
    call: callId,
    ...who,
    session: sessionId,
    tool: toolName,
  }),
  answer: z.union([
    z.strictObject({ v, grant: approvalGrant }),
    z.strictObject({ v, pending: z.strictObject({ id: approvalId, expires_at: timestamp }) }),
  ]),
  by: ['policy'],
  of: 'approvals',
  timeoutMs: 1_000,
});

// --- kill-switch --------------------------------------------------------------------------------------------------

export const killCheck = batch('svc.v1.kill.check', {
  ask: z.strictObject({ ...who, session: sessionId, tool: toolName }),
  /** `killed` is the widest scope that covers the call. */
  answer: z.strictObject({ epoch: z.int().min(0), killed: z.strictObject({ scope, reason }).optional() }),
  by: ['ingress'],
  of: 'kill-switch',
  items: 256,
  late: false,
  timeoutMs: 1_000,
});

/** What a message of the KILL stream says of its scope; the message's stream sequence is the epoch. */
export const killRecord = z.strictObject({
  v,
  state: z.enum(['killed', 'lifted']),
  scope,
  reason: z.string().max(512),
  by: z.string().max(128),
  at: timestamp,
  expires_at: timestamp.optional(),
  /** Where two operators have to agree on its end (`dual_control`): who asked first, and when. */
  lift_asked: z.strictObject({ by: z.string().max(128), at: timestamp }).optional(),
  /** Of an automatic order, and of its end: the incident that it belongs to. */
  incident: incidentId.optional(),
});
export type KillRecord = z.infer<typeof killRecord>;

/**
 * An order that no person gives. In whose name it stands follows from who may say it here, never from the message. There is no such way to lift.
 * Asked again for the same incident, or where the scope is killed already, it is the order that stands: it is contained and told anew. Asked again
 * once that incident's order was lifted, it is refused.
 */
export const killOrder = request('svc.v1.kill.order', {
  ask: z.strictObject({
    v,
    scope: automaticScope,
    reason: z.string().min(1).max(512),
    incident: incidentId,
    events: ledBy,
  }),
  answer: z.strictObject({
    v,
    receipt: killReceipt,
    /** Ids of the events that tell of it, as far as they are durable yet. */
    evidence: z.strictObject({ ordered: eventId.optional(), contained: z.array(eventId).max(256) }),
  }),
  by: ['sentinel'],
  of: 'kill-switch',
  timeoutMs: 10_000,
});

/** Each second: the KILL stream's last sequence as its leader told it. A view without one for 3 s is stale, and stale is killed. */
export const killPulse = notice('svc.v1.kill.pulse', {
  body: z.strictObject({ v, instance, epoch: z.int().min(0), at: epochMs }),
  by: ['kill-switch'],
  of: ['ingress', 'tool-runner', 'credential-broker', 'kill-switch', 'approvals'],
});
/**
 * A person's order is being written: nothing in its scope starts from now on, until the order is there or for a second, and what runs is ended.
 * It makes the time until calls are refused that of one message, whatever the disk takes.
 */
export const killHold = notice('svc.v1.kill.hold', {
  body: z.strictObject({ v, scope }),
  by: ['kill-switch'],
  of: ['ingress', 'tool-runner', 'credential-broker', 'approvals'],
});
/** Each second from every enforcement point, and once when it leaves. */
export const pointAlive = notice('svc.v1.points.alive', {
  body: z.strictObject({ v, service: serviceName, instance, epoch: z.int().min(0), state: z.enum(['up', 'leaving']) }),
  by: ['ingress', 'tool-runner', 'approvals', 'credential-broker'],
  of: ['kill-switch'],
});
/** `not_started`: ended here and never handed to a tool. `dispatched`: handed to a runner, which knows more. */
export const pointFate = z.enum(['not_started', 'dispatched', 'aborted', 'completed', 'unknown']);
const leaseIds = z.array(z.string().max(512)).max(65_536);
export const pointContain = broadcast('svc.v1.points.contain', {
  ask: z.strictObject({ v, epoch: z.int().min(1), scope }),
  answer: z.strictObject({
    v,
    service: serviceName,
    instance,
    epoch: z.int().min(1),
    calls: z.array(z.strictObject({ call: callId, fate: pointFate })).max(65_536),
    /** Of the approvals service: how many it voided. */
    voided: z.int().min(0).optional(),
    /** Of the broker: the leases in scope that are ended and refused, ended where nothing can prove it, and not ended yet. */
    leases: z.strictObject({ revoked: leaseIds, unproven: leaseIds, failed: leaseIds }).optional(),
  }),
  by: ['kill-switch'],
  of: ['ingress', 'tool-runner', 'approvals', 'credential-broker'],
  timeoutMs: 2_000,
});

// --- tool-runner --------------------------------------------------------------------------------------------------

/** That witnesses saw the decision of a call in the evidence log: the entry, and its C2SP tlog-proof up to a cosigned checkpoint. */
export const witnessedEntry = z.strictObject({ entry: z.string().max(65_535), proof: z.string().max(32_768) });
export type WitnessedEntry = z.infer<typeof witnessedEntry>;

export const executeAsk = z.strictObject({
  ...theCall.shape,
  permit,
  epoch: z.int().min(0),
  /** Where the permit asks for it; the salt opens the digest, where the entry has one in place of the arguments. */
  witnessed: witnessedEntry.extend({ salt: z.string().max(64).optional() }).optional(),
});
export type ExecuteAsk = z.infer<typeof executeAsk>;
/** `refused`: the runner did not start it. */
export const outcome = z.enum(['ok', 'tool_error', 'aborted', 'timeout', 'unknown', 'refused']);
export type Outcome = z.infer<typeof outcome>;
export const executeAnswer = z.strictObject({
  outcome,
  code,
  reason,
  result: z.unknown().optional(),
  duration_ms: z.number().min(0),
  lease: z.string().max(512).optional(),
  /** JSON pointers into the result where a secret's bytes were taken out. */
  redacted: z.array(z.string().max(512)).max(64),
});
export type ExecuteAnswer = z.infer<typeof executeAnswer>;
export const runnerExecute = batch('svc.v1.runner.execute', {
  ask: executeAsk,
  answer: executeAnswer,
  by: ['ingress'],
  of: 'tool-runner',
  items: 64,
  late: true,
  timeoutMs: 2_000,
});

/** Ends one call wherever it runs. `fate` stands only where the call was known. */
export const runnerCancel = broadcast('svc.v1.runner.cancel', {
  ask: z.strictObject({ v, call: callId, why: z.enum(['cancelled', 'timeout']) }),
  answer: z.strictObject({ v, instance, fate: z.enum(['aborted', 'completed', 'unknown']).optional() }),
  by: ['ingress'],
  of: ['tool-runner'],
  timeoutMs: 1_000,
});
/** Asks the other replicas of ingress for a call that is not here. */
export const ingressCancel = broadcast('svc.v1.ingress.cancel', {
  ask: z.strictObject({ v, ...who, call: callId.optional(), key: z.string().max(limits.keyLength).optional() }),
  answer: z.strictObject({ v, instance, status: z.enum(['aborted', 'completed', 'unknown', 'not_found']) }),
  by: ['ingress'],
  of: ['ingress'],
  timeoutMs: 1_500,
});

/** One tool of the catalog, as the runner saw it at its server: the value of a key of KV bucket TOOLS. */
export const catalogTool = z.strictObject({
  v,
  ...toolDefinition.shape,
  /** Of the definition (`toolDomain`). */
  schema_digest: digest,
  seen_at: timestamp,
});
export type CatalogTool = z.infer<typeof catalogTool>;

/** An agent that exists: the value of key `<tenant>.<agent>` of KV bucket AGENTS. */
export const agentRecord = z.strictObject({ v, ...who, labels: z.array(name).max(32), user: z.string().max(64) });
export type AgentRecord = z.infer<typeof agentRecord>;

// --- credential-broker --------------------------------------------------------------------------------------------

export const leaseAsk = z.strictObject({
  permit,
  runner: instance,
  /** The runner's X25519 public key (an NATS curve nkey, `X…`), made at its start; the secret leaves the broker sealed to it. */
  seal_to: z.string().max(64),
  /** Ed25519 by the runner's service key over `runnerKeyText`; base64. */
  sig: z.string().max(128),
  epoch: z.int().min(0),
  /** A lease of the same session, tool, credential and scope that the runner still holds: it is prolonged if it can be. */
  held: z.strictObject({ lease: z.string().max(512), permit: permitId }).optional(),
});
export type LeaseAsk = z.infer<typeof leaseAsk>;
/** What a runner signs: that this key is its own, for this one permit. */
export const runnerKeyText = ({
  runner,
  seal_to,
  permit,
}: Pick<LeaseAsk, 'runner' | 'seal_to'> & { permit: { claims: Pick<PermitClaims, 'id'> } }): string =>
  `agentgate-runner-key-v1\n${runner}\n${seal_to}\n${permit.claims.id}\n`;
/** What is sealed to the runner: the parts of the secret by name, and those whose bytes may come back in no result. */
export const leasedSecret = z.strictObject({
  v,
  parts: z.record(z.string().max(64), z.string().max(16_384)),
  hidden: z.array(z.string().max(64)).max(32),
  /** The private key (JWK) that proofs are signed with, where the secret is a token that is bound to it (RFC 9449). */
  dpop_key: json.optional(),
});
export type LeasedSecret = z.infer<typeof leasedSecret>;
export const leaseAnswer = z.strictObject({
  lease: z.string().max(512),
  /** The permit that the lease was made with: `release` names it. */
  permit: permitId,
  /** A `leasedSecret`. Absent where the held lease lives on with the same secret. */
  sealed: z.string().max(65_536).optional(),
  broker_key: z.string().max(64),
  expires_at: timestamp,
  /** The lease outlives the call: it serves the session's next call to this tool, too. */
  reuse: z.literal(true).optional(),
});
export type LeaseAnswer = z.infer<typeof leaseAnswer>;
export const brokerLease = batch('svc.v1.broker.lease', {
  ask: leaseAsk,
  answer: leaseAnswer,
  by: ['tool-runner'],
  of: 'credential-broker',
  items: 32,
  late: false,
  timeoutMs: 2_000,
});
/** The call is over, or nobody needs the lease any more: it ends now. */
export const brokerRelease = batch('svc.v1.broker.release', {
  ask: z.strictObject({ lease: z.string().max(512), permit: permitId }),
  answer: z.strictObject({ state: z.enum(['revoked', 'expired', 'unknown']) }),
  by: ['tool-runner'],
  of: 'credential-broker',
  items: 64,
  late: false,
  timeoutMs: 2_000,
});

/** Verifies whom an agent acts for, and keeps their token, encrypted, for as long as it is good. */
export const brokerSubject = request('svc.v1.broker.subject', {
  ask: z.strictObject({ v, ...who, subject_token: z.string().min(1).max(limits.subjectTokenLength) }),
  answer: z.strictObject({ v, id: subjectId, person: personName, issuer: z.string().max(2048), expires_at: timestamp }),
  by: ['ingress'],
  of: 'credential-broker',
  timeoutMs: 3_000,
});
/** The value of a key of KV bucket SUBJECTS. */
export const subjectRecord = z.strictObject({
  v,
  ...who,
  person: personName,
  issuer: z.string().max(2048),
  expires_at: timestamp,
  /** The token, as a JWE of the broker's own key. */
  locked: z.string().max(65_536),
});
export type SubjectRecord = z.infer<typeof subjectRecord>;

/** Where a lease stands; `irrevocable`: it could not be ended, and a person has to. */
export const leaseState = z.enum(['intended', 'active', 'revoking', 'revoked', 'expired', 'irrevocable']);
export type LeaseState = z.infer<typeof leaseState>;
/** Why a lease is ended. `test`: it was made to try the credential; `lost`: the provider does not know it any more. */
export const leaseEnd = z.enum([
  'released',
  'expired',
  'killed',
  'swept',
  'operator',
  'test',
  'lost',
  'orphan',
  'resolved',
]);
export type LeaseEnd = z.infer<typeof leaseEnd>;

/** The value of a key of KV bucket LEASES. It never holds the secret in the clear. */
export const leaseRecord = z.strictObject({
  v,
  id: z.string().max(512),
  provider: z.enum(providerKinds),
  credential: name,
  scope: z.string().max(1024).optional(),
  ...who,
  session: sessionId,
  tool: toolName,
  call: callId,
  permit: permitId,
  permit_digest: digest,
  subject: z.strictObject({ id: subjectId, person: personName }).optional(),
  runner: instance,
  reuse: z.enum(['call', 'session']),
  state: leaseState,
  created_at: timestamp,
  expires_at: timestamp,
  /** The provider's own name for it; a JWE of the broker's key. */
  handle: z.string().max(65_536).optional(),
  /** Since it is `revoking`: why, the tries that failed, when the next is due, and what the last one said. */
  ending: z
    .strictObject({
      why: leaseEnd,
      by: z.string().max(128).optional(),
      reason: z.string().max(512).optional(),
      tries: z.int().min(0),
      next_at: timestamp,
      problem: z.string().max(512).optional(),
    })
    .optional(),
  /** Of one that is over: whether a use of it was refused. */
  proof: z.enum(['refused', 'unprovable']).optional(),
});
export type LeaseRecord = z.infer<typeof leaseRecord>;
/** A permit that prolonged a lease instead of making one: under its own key, so that it does so once. */
export const leaseUse = z.strictObject({ v, used_for: z.string().max(512) });

// --- audit --------------------------------------------------------------------------------------------------------

/** Waits until a quorum of witnesses has cosigned a checkpoint that covers this event. */
export const auditWitnessed = batch('svc.v1.audit.witnessed', {
  ask: z.strictObject({ event: eventId, deadline: epochMs }),
  answer: witnessedEntry,
  by: ['ingress'],
  of: 'audit',
  items: 64,
  late: true,
  timeoutMs: 5_000,
});

export const internalContracts = {
  approvalRequest,
  approvalRedeem,
  policyDecide,
  policyObserve,
  policyOpenSession,
  policyVisible,
  policyHold,
  policyAlive,
  policyPrepare,
  policySettle,
  policyShadowTold,
  killCheck,
  killOrder,
  killPulse,
  killHold,
  pointAlive,
  pointContain,
  runnerExecute,
  runnerCancel,
  ingressCancel,
  brokerLease,
  brokerRelease,
  brokerSubject,
  auditWitnessed,
};
