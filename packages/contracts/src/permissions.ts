import { agentVerbs } from './agent.ts';
import type { Contract } from './contract.ts';
import { internalContracts } from './internal.ts';
import { listingContracts } from './listing.ts';
import { type ServiceName, services } from './names.ts';
import { operatorVerbs } from './operator-verbs.ts';
import {
  type AccountName,
  agentsBucket,
  alertsBucket,
  approvalsBucket,
  auditConsumer,
  bundlesStore,
  type ConsumerSpec,
  eventsSubject,
  incidentsBucket,
  killStream,
  leasesBucket,
  notifierConsumer,
  pinsBucket,
  policyBucket,
  type StreamSpec,
  sentinelBucket,
  subjectsBucket,
  toolsBucket,
} from './streams.ts';

// Who may publish and subscribe to what, as data. Everything follows from the contracts' `by` and `of`, and from who reads or
// writes which stream; nothing else is allowed. NATS enforces it, so a compromised service can say no more than its own lines.

export interface Permissions {
  pub: string[];
  /** Of what `pub` covers. */
  neverPub?: string[];
  sub: string[];
  /** May answer requests that it received: at most `max` messages each, for `ttlMs`. */
  answers?: { max: number; ttlMs: number };
}
export interface UserSpec extends Permissions {
  user: string;
  account: AccountName;
}

export const inboxOf = (user: string): string => `_INBOX_${user}`;
/** Late answers of a batch contract come here, apart from the asker's other inboxes: who may answer this contract can forge nothing else. */
export const lateInboxOf = (user: string, subject: string): string => `_LATE_${user}.${subject.replaceAll('.', '-')}`;

const contracts: Contract[] = [
  ...Object.values(internalContracts),
  ...Object.values(listingContracts),
  ...Object.values(agentVerbs),
  ...Object.values(operatorVerbs),
] as never;

/** Reading a stream with ordered (ephemeral) consumers and direct gets. Nothing here can change a stream. */
export const readerOf = (stream: string): string[] => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}.>`,
  `$JS.API.CONSUMER.CREATE.${stream}.>`,
  `$JS.API.CONSUMER.INFO.${stream}.>`,
  `$JS.API.CONSUMER.DELETE.${stream}.>`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.>`,
  `$JS.ACK.${stream}.>`,
  `$JS.FC.${stream}.>`,
];
const writerOf = (spec: StreamSpec): string[] => [...spec.subjects];
const whole = ['$JS.API.INFO'];
/** Asks the server how it keeps streams: services refuse one that does not fsync before it acknowledges. */
export const serverStorage = '$SYS.REQ.SERVER.PING.JSZ';
/** Who is connected in an account, and cutting one connection of a server: a kill of an agent ends its connections. */
export const accountConnections = (account: string): string => `$SYS.REQ.ACCOUNT.${account}.CONNZ`;
export const serverKick = (server: string): string => `$SYS.REQ.SERVER.${server}.KICK`;

const streamAccess: Record<ServiceName, string[]> = {
  ingress: [...whole, ...readerOf(killStream.name)],
  policy: [
    ...whole,
    ...[agentsBucket, toolsBucket, pinsBucket, policyBucket, bundlesStore].flatMap(({ name }) => readerOf(name)),
    ...writerOf(policyBucket),
    ...writerOf(bundlesStore),
  ],
  'kill-switch': [...whole, ...readerOf(killStream.name), ...writerOf(killStream)],
  'credential-broker': [
    ...whole,
    ...readerOf(killStream.name),
    ...readerOf(leasesBucket.name),
    ...writerOf(leasesBucket),
    ...readerOf(subjectsBucket.name),
    ...writerOf(subjectsBucket),
  ],
  'tool-runner': [
    ...whole,
    ...readerOf(killStream.name),
    ...readerOf(toolsBucket.name),
    ...writerOf(toolsBucket),
    ...readerOf(pinsBucket.name),
    ...writerOf(pinsBucket),
  ],
  approvals: [...whole, ...readerOf(killStream.name), ...readerOf(approvalsBucket.name), ...writerOf(approvalsBucket)],
  audit: [],
  sentinel: [
    ...whole,
    ...readerOf(killStream.name),
    ...readerOf(incidentsBucket.name),
    ...writerOf(incidentsBucket),
    ...readerOf(sentinelBucket.name),
    ...writerOf(sentinelBucket),
  ],
  notifier: [...whole, ...readerOf(alertsBucket.name), ...writerOf(alertsBucket)],
  'mcp-edge': [],
};

/** The second user of services that work in account AUDIT; their own events go that way, too. */
export const auditUsers: { readonly [service in ServiceName]?: string } = {
  audit: 'audit-log',
  sentinel: 'sentinel-evidence',
  notifier: 'notifier-evidence',
};

/** To take what a durable consumer hands out: neither to make, change or delete one, nor to read past it. */
const takerOf = ({ stream, name }: ConsumerSpec): string[] => [
  `$JS.API.CONSUMER.INFO.${stream}.${name}`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`,
  `$JS.ACK.${stream}.${name}.>`,
];

const queues = (service: ServiceName) =>
  ['$SRV.PING', '$SRV.INFO', '$SRV.STATS'].flatMap((s) => [s, `${s}.${service}`, `${s}.${service}.*`]);

/** At most so many times an answer may be preceded by how it goes. */
export const progressNotes = 63;

/** A service's user in CORE. */
export const permissionsOf = (service: ServiceName): Permissions => {
  const pub: string[] = [serverStorage];
  const sub: string[] = [`${inboxOf(service)}.>`, ...queues(service)];
  for (const contract of contracts) {
    const asks = (contract.by as readonly string[]).includes(service);
    const serves = ([contract.of].flat() as readonly string[]).includes(service);
    if (asks) pub.push(contract.subject);
    if (serves) sub.push(contract.subject);
    if (contract.kind !== 'batch' || !contract.late) continue;
    if (asks) sub.push(`${lateInboxOf(service, contract.subject)}.>`);
    if (serves) pub.push(...contract.by.map((asker) => `${lateInboxOf(asker, contract.subject)}.>`));
  }
  if (service === 'kill-switch') pub.push(accountConnections('*'), serverKick('*'));
  pub.push(...streamAccess[service]);
  if (auditUsers[service] === undefined) pub.push(eventsSubject(service));
  if (service === 'tool-runner') {
    pub.push('tool.v1.*.call', 'tool.v1.*.list', 'tool.v1.*.cancel');
    sub.push(`${lateInboxOf(service, 'tool.v1')}.>`);
  }
  // The kill-switch tells an operator of each point that confirmed, before the receipt.
  return { pub, sub, answers: { max: service === 'kill-switch' ? 1 + progressNotes : 1, ttlMs: 120_000 } };
};

/** All users of the deployment that are not agents, tools or people. */
export const serviceUsers = (): UserSpec[] => [
  ...services.map((service) => ({ user: service, account: 'CORE' as const, ...permissionsOf(service) })),
  {
    user: 'audit-log',
    account: 'AUDIT',
    pub: [
      ...whole,
      '$JS.API.STREAM.INFO.AUDIT',
      '$JS.API.STREAM.INFO.EVIDENCE',
      ...takerOf(auditConsumer),
      '$JS.API.DIRECT.GET.EVIDENCE',
      '$JS.API.DIRECT.GET.EVIDENCE.>',
      '$JS.API.STREAM.MSG.GET.EVIDENCE',
      'evidence.v1.>',
      eventsSubject('audit'),
    ],
    sub: [`${inboxOf('audit-log')}.>`],
  },
  {
    user: 'sentinel-evidence',
    account: 'AUDIT',
    pub: [...evidenceReader, eventsSubject('sentinel')],
    neverPub: notToTake(notifierConsumer),
    sub: [`${inboxOf('sentinel-evidence')}.>`],
  },
  {
    user: 'notifier-evidence',
    account: 'AUDIT',
    pub: [...whole, '$JS.API.STREAM.INFO.EVIDENCE', ...takerOf(notifierConsumer), eventsSubject('notifier')],
    sub: [`${inboxOf('notifier-evidence')}.>`],
  },
];

/** Stands in an agent's bearer token: NATS tells nobody the JWT of a connection that was opened with one, but its tags. */
export const agentTag = (agent: string): string => `agent:${agent}`;

/** An agent's user in its tenant's account. */
export const agentPermissions = (agent: string): Permissions => ({
  pub: [`agent.${agent}.>`],
  sub: [`${inboxOf(agent)}.>`],
});

/** A tool server's user in TOOLS. A batch of late answers has one message for `taken` and at most one an item. */
export const toolPermissions = (server: string): Permissions => ({
  pub: [],
  sub: [`${inboxOf(`tool-${server}`)}.>`, `tool.v1.${server}.>`],
  answers: { max: 65, ttlMs: 120_000 },
});

/** Clients ask without a name in the subject, too: where they leave it to the server, and where a consumer has several filters. */
export const evidenceReader: string[] = ['$JS.API.INFO', '$JS.API.CONSUMER.CREATE.EVIDENCE', ...readerOf('EVIDENCE')];
/** Whoever reads EVIDENCE has consumers of his own, and leaves the notifier's alone: he could take its messages, change or end it. */
const notToTake = ({ stream, name }: ConsumerSpec): string[] => [
  ...['CREATE', 'DELETE', 'MSG.NEXT'].flatMap((verb) => [
    `$JS.API.CONSUMER.${verb}.${stream}.${name}`,
    `$JS.API.CONSUMER.${verb}.${stream}.${name}.>`,
  ]),
  `$JS.ACK.${stream}.${name}.>`,
];
const seesServices = ['$SRV.PING', '$SRV.INFO', '$SRV.STATS', '$SRV.PING.>', '$SRV.INFO.>', '$SRV.STATS.>'];
export const people = ['operator', 'approver', 'auditor', 'engineer'] as const;
export type PersonRole = (typeof people)[number];

/** A person's user in OPS. */
export const personPermissions = (person: string, role: PersonRole): Permissions => {
  const sub = [`${inboxOf(person)}.>`];
  switch (role) {
    case 'operator':
      return {
        pub: [
          `ops.${person}.kill`,
          `ops.${person}.lift`,
          `ops.${person}.kills`,
          `ops.${person}.incidents`,
          `ops.${person}.release`,
          `ops.${person}.note`,
          `ops.${person}.clear-taint`,
          `ops.${person}.session`,
          `ops.${person}.approvals`,
          `ops.${person}.leases`,
          `ops.${person}.revoke-leases`,
          `ops.${person}.resolve-lease`,
          `ops.${person}.test-credential`,
          `ops.${person}.tools`,
          `ops.${person}.tool`,
          `ops.${person}.tool-accept`,
          `ops.${person}.tool-reject`,
          `ops.${person}.alerts`,
          `ops.${person}.retry-alert`,
          `ops.${person}.test-alert`,
          ...['rollback', 'bundle', 'shadow', 'diff', 'except', 'except-end', 'exceptions'].map(
            (w) => `ops.${person}.policy-${w}`,
          ),
          `ops.${person}.policy-history`,
          `ops.${person}.erase`,
          `ops.${person}.holds`,
          ...seesServices,
          ...evidenceReader,
        ],
        neverPub: notToTake(notifierConsumer),
        sub,
      };
    case 'approver':
      return { pub: [`ops.${person}.approvals`, `ops.${person}.approve`, `ops.${person}.reject`], sub };
    case 'auditor':
      return {
        pub: [
          `ops.${person}.policy-history`,
          `ops.${person}.policy-exceptions`,
          `ops.${person}.disclosures`,
          `ops.${person}.hold`,
          `ops.${person}.release-hold`,
          `ops.${person}.holds`,
          ...evidenceReader,
        ],
        neverPub: notToTake(notifierConsumer),
        sub,
      };
    // What an engineer pushes counts only with its author's signature, and an operator may take it back.
    case 'engineer':
      return {
        pub: ['push', 'activate', 'rollback', 'bundle', 'history', 'shadow', 'diff', 'exceptions'].map(
          (word) => `ops.${person}.policy-${word}`,
        ),
        sub,
      };
    default:
      return role satisfies never;
  }
};

/** What one account offers and who takes it: NATS service exports and imports. `local` is the subject in the importing account. */
export interface Share {
  from: AccountName;
  subject: string;
  to: 'tenants' | AccountName;
  local: string;
  /** Position of the importing account's id in `subject`, where it is enforced. */
  accountToken?: number;
  stream?: boolean;
}

export const shares: readonly Share[] = [
  ...Object.keys(agentVerbs).map((verb) => ({
    from: 'CORE' as const,
    subject: `gate.v1.*.*.${verb}`,
    to: 'tenants' as const,
    local: `agent.$1.${verb}`,
    accountToken: 3,
  })),
  ...Object.keys(operatorVerbs).map((verb) => ({
    from: 'CORE' as const,
    subject: `ops.v1.*.${verb}`,
    to: 'OPS' as const,
    local: `ops.$1.${verb}`,
    ...(verb === 'kill' && { stream: true }),
  })),
  { from: 'SYS', subject: serverStorage, to: 'CORE', local: serverStorage, stream: true },
  { from: 'SYS', subject: accountConnections('*'), to: 'CORE', local: accountConnections('$1'), stream: true },
  { from: 'SYS', subject: serverKick('*'), to: 'CORE', local: serverKick('$1') },
  { from: 'AUDIT', subject: 'events.v1.*', to: 'CORE', local: 'events.v1.$1' },
  { from: 'TOOLS', subject: 'tool.v1.*.call', to: 'CORE', local: 'tool.v1.$1.call', stream: true },
  { from: 'TOOLS', subject: 'tool.v1.*.list', to: 'CORE', local: 'tool.v1.$1.list' },
  { from: 'TOOLS', subject: 'tool.v1.*.cancel', to: 'CORE', local: 'tool.v1.$1.cancel' },
  ...evidenceReader.map((subject) => ({
    from: 'AUDIT' as const,
    subject,
    to: 'OPS' as const,
    local: subject,
    stream: true,
  })),
  ...seesServices.map((subject) => ({
    from: 'CORE' as const,
    subject,
    to: 'OPS' as const,
    local: subject,
    stream: true,
  })),
];
