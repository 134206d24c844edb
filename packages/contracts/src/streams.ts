import { alertEventNames } from './alerts.ts';
import { eventType } from './events.ts';

// Streams and buckets as data: the provisioner makes them, services compare at boot what the server echoes.

export type AccountName = 'SYS' | 'CORE' | 'AUDIT' | 'OPS' | 'TOOLS';

/** The part of a JetStream stream configuration that we rely on, in the server's own words. Sizes in bytes, times in nanoseconds. */
export interface StreamSpec {
  account: AccountName;
  name: string;
  subjects: readonly string[];
  retention: 'limits' | 'workqueue';
  discard: 'new' | 'old';
  max_bytes: number;
  max_msgs_per_subject: number;
  duplicate_window: number;
  deny_delete: boolean;
  deny_purge: boolean;
  allow_direct: boolean;
  allow_rollup_hdrs: boolean;
  /** A message may say how long it is kept. */
  allow_msg_ttl?: true;
  /** `async` only where the stream is derived and its owner writes again what a crash lost. */
  persist_mode?: 'async';
}

const GiB = 1024 ** 3;
const minute = 60_000_000_000;

/** Producers' write-ahead log: a batch stays until audit has it in the evidence log. */
export const auditStream: StreamSpec = {
  account: 'AUDIT',
  name: 'AUDIT',
  subjects: ['events.v1.*'],
  retention: 'workqueue',
  discard: 'new',
  max_bytes: 8 * GiB,
  max_msgs_per_subject: -1,
  duplicate_window: 10 * minute,
  deny_delete: true,
  deny_purge: true,
  allow_direct: false,
  allow_rollup_hdrs: false,
};
/**
 * Sealed events for readers; derived from the evidence log, so audit fills in what a crash of the server lost. Each entry is taken only right
 * after the one before it, so none is taken twice; the ids of a window, which the server would keep in memory, are as good as none: 100 ms is
 * the shortest that it knows.
 */
export const evidenceStream: StreamSpec = {
  account: 'AUDIT',
  name: 'EVIDENCE',
  subjects: ['evidence.v1.>'],
  retention: 'limits',
  discard: 'old',
  max_bytes: 8 * GiB,
  max_msgs_per_subject: -1,
  duplicate_window: 100_000_000,
  deny_delete: true,
  deny_purge: true,
  allow_direct: true,
  allow_rollup_hdrs: false,
  persist_mode: 'async',
};
/** Kill orders, one message a scope; the stream sequence is the kill epoch. Full means no further order can be taken: an alarm, not a loss. */
export const killStream: StreamSpec = {
  account: 'CORE',
  name: 'KILL',
  subjects: ['kill.v1.*'],
  retention: 'limits',
  discard: 'old',
  max_bytes: -1,
  max_msgs_per_subject: 1,
  duplicate_window: 2 * minute,
  deny_delete: true,
  deny_purge: true,
  allow_direct: true,
  allow_rollup_hdrs: false,
};

const bucket = (name: string): StreamSpec => ({
  account: 'CORE',
  name: `KV_${name}`,
  subjects: [`$KV.${name}.>`],
  retention: 'limits',
  discard: 'new',
  max_bytes: GiB,
  max_msgs_per_subject: 1,
  duplicate_window: 2 * minute,
  deny_delete: true,
  deny_purge: false,
  allow_direct: true,
  allow_rollup_hdrs: true,
});
export const buckets = {
  agents: 'AGENTS',
  tools: 'TOOLS',
  pins: 'PINS',
  leases: 'LEASES',
  approvals: 'APPROVALS',
  subjects: 'SUBJECTS',
  incidents: 'INCIDENTS',
  sentinel: 'SENTINEL',
  alerts: 'ALERTS',
  policy: 'POLICY',
} as const;
export const agentsBucket = bucket(buckets.agents);
export const toolsBucket = bucket(buckets.tools);
/** Which definition of each tool may be called. A pin outlives its tool's absence: nothing is ever taken out. */
export const pinsBucket: StreamSpec = { ...bucket(buckets.pins), deny_purge: true, allow_rollup_hdrs: false };
/** The record of a lease that ended goes by itself, or the bucket would fill up and no more leases could be given. */
export const leasesBucket: StreamSpec = { ...bucket(buckets.leases), allow_msg_ttl: true };
/** The record of an approval that ended goes by itself. */
export const approvalsBucket: StreamSpec = { ...bucket(buckets.approvals), allow_msg_ttl: true };

/** Whom agents act for: each record goes with the token in it. */
export const subjectsBucket: StreamSpec = { ...bucket(buckets.subjects), allow_msg_ttl: true };
/** What is delivered or given up goes by itself. */
export const alertsBucket: StreamSpec = { ...bucket(buckets.alerts), allow_msg_ttl: true };

/** A released incident goes by itself; evidence keeps what happened. */
export const incidentsBucket: StreamSpec = { ...bucket(buckets.incidents), allow_msg_ttl: true };
/** How far the sentinel has read, and what it has counted until there. */
export const sentinelBucket = bucket(buckets.sentinel);

/** Which policy is active, and what was before: the last 64 values of each key. */
export const policyBucket: StreamSpec = { ...bucket(buckets.policy), max_msgs_per_subject: 64 };
/** Signed policy bundles, each under its digest: an object store (ADR-20). Nothing in it is ever written twice. */
export const bundlesStore: StreamSpec = {
  ...bucket('BUNDLES'),
  name: 'OBJ_BUNDLES',
  subjects: ['$O.BUNDLES.C.>', '$O.BUNDLES.M.>'],
  max_msgs_per_subject: -1,
};

export const streams: readonly StreamSpec[] = [
  auditStream,
  evidenceStream,
  killStream,
  agentsBucket,
  toolsBucket,
  pinsBucket,
  leasesBucket,
  approvalsBucket,
  subjectsBucket,
  incidentsBucket,
  sentinelBucket,
  alertsBucket,
  policyBucket,
  bundlesStore,
];

/** A durable consumer, made by the provisioner. `ackWaitMs` after it was handed out, what was not acknowledged comes again. */
export interface ConsumerSpec {
  stream: string;
  name: string;
  ackWaitMs: number;
  maxAckPending: number;
  /** `new`: not what stood there before the consumer did. */
  deliver: 'all' | 'new';
  /** All of the stream's where absent. */
  subjects?: readonly string[];
}

export const eventsSubject = (service: string): string => `events.v1.${service}`;
export const evidenceSubject = (tenant: string, type: string): string => `evidence.v1.${tenant}.${type}`;
/** The log's signed notes, each after the entries that it covers. */
export const checkpointSubject = 'evidence.v1.checkpoint';
/** Every entry in EVIDENCE, and no checkpoint. */
export const everyEntry = 'evidence.v1.*.>';
/**
 * By which audit takes events. After a crash of audit the log lags by `ackWaitMs`; `maxAckPending` batches are all that audit may have to hold
 * in memory.
 */
export const auditConsumer = {
  stream: 'AUDIT',
  name: 'audit',
  ackWaitMs: 5_000,
  maxAckPending: 64,
  deliver: 'all',
} as const satisfies ConsumerSpec;
/** By which the notifier hears of what is worth an alert, and of nothing else. What happened before there was a notifier is no news. */
export const notifierConsumer = {
  stream: 'EVIDENCE',
  name: 'notifier',
  ackWaitMs: 30_000,
  maxAckPending: 256,
  deliver: 'new',
  subjects: alertEventNames.map((event) => evidenceSubject('*', eventType(event))),
} as const satisfies ConsumerSpec;
export const consumers: readonly ConsumerSpec[] = [auditConsumer, notifierConsumer];

const base64url = (text: string) => Buffer.from(text, 'utf8').toString('base64url');
export const killSubject = (key: string): string => `kill.v1.${base64url(key)}`;
/** A key of buckets TOOLS and PINS: tool names have characters that keys may not have. */
export const toolKey = (tool: string): string => base64url(tool);
/** The tool whose key this is; undefined where it is no tool's: other spellings decode to the same name. */
export const toolOfKey = (key: string): string | undefined => {
  const tool = Buffer.from(key, 'base64url').toString('utf8');
  return toolKey(tool) === key ? tool : undefined;
};
export const agentKey = (tenant: string, agent: string): string => `${tenant}.${agent}`;
/** A lease's key of bucket LEASES is its permit: that a key is created once is what makes a permit good for one lease. */
export const leaseKey = (permit: string): string => permit;
export const bundleKey = (version: number): string => `bundle.${version}`;
/** The oldest nats-server that we trust with evidence: older ones have known faults or ignore stream options without a word. */
export const natsFloor = '2.14.4';
