import { type Bus, connectBus, streamDifference } from '@agentgate/bus';
import {
  type AccountName,
  type AgentRecord,
  agentKey,
  agentsBucket,
  auditStream,
  buckets,
  type ConsumerSpec,
  consumers,
  inboxOf,
  type Permissions,
  readerOf,
  type StreamSpec,
  streams,
} from '@agentgate/contracts';
import { z } from 'zod';
import { mintOneShot } from './deployment.ts';
import { GroundError } from './error.ts';
import { probeEntry } from './own-tenant.ts';
import type { Roster, RosterEntry } from './roster.ts';
import type { Seeds } from './seeds.ts';

// The one-shot provisioner: the only one who may make or change streams, with users that live for a minute and are never stored.

const user = 'provisioner';
const requestMs = 10_000;

const permissionsIn = (account: AccountName): Permissions => {
  const stream = streams
    .filter((s) => s.account === account)
    .flatMap(({ name }) => ['CREATE', 'UPDATE', 'INFO'].map((verb) => `$JS.API.STREAM.${verb}.${name}`));
  const consumer =
    account === auditStream.account
      ? consumers.map(({ stream, name }) => `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.${name}`)
      : [];
  const agents = account === agentsBucket.account ? [...agentsBucket.subjects, ...readerOf(agentsBucket.name)] : [];
  return { pub: ['$JS.API.INFO', ...stream, ...consumer, ...agents], sub: [`${inboxOf(user)}.>`] };
};

const reply = z.object({
  error: z.object({ code: z.int(), err_code: z.int().optional(), description: z.string().optional() }).optional(),
  config: z.record(z.string(), z.unknown()).optional(),
});
const streamNotFound = 10059;

const api = async (bus: Bus, subject: string, body: object) => {
  const bytes = await bus.requestRaw(`$JS.API.${subject}`, JSON.stringify(body), {
    of: 'JetStream',
    timeoutMs: requestMs,
  });
  return reply.parse(JSON.parse(new TextDecoder().decode(bytes)));
};

const connectAs = async (natsUrl: string, seeds: Seeds, account: AccountName): Promise<Bus> =>
  connectBus({
    servers: natsUrl,
    creds: await mintOneShot(seeds, account, user, permissionsIn(account)),
    user,
    instance: user,
  });

const withBus = async <T>(
  natsUrl: string,
  seeds: Seeds,
  account: AccountName,
  work: (bus: Bus) => Promise<T>,
): Promise<T> => {
  const bus = await connectAs(natsUrl, seeds, account);
  try {
    return await work(bus);
  } finally {
    await bus.close();
  }
};

/** What of a spec goes to the server; `account` is where, not what. */
const configOf = ({ account: _, ...spec }: StreamSpec) => ({
  ...spec,
  storage: 'file',
  num_replicas: 1,
  max_msgs: -1,
  max_age: 0,
  max_msg_size: -1,
  max_consumers: -1,
});

const layStream = async (bus: Bus, spec: StreamSpec): Promise<void> => {
  const info = await api(bus, `STREAM.INFO.${spec.name}`, {});
  if (info.error && info.error.err_code !== streamNotFound)
    throw new GroundError(`stream ${spec.name}: ${info.error.description}`);
  if (info.config && streamDifference(spec, info.config) === undefined) return;
  const done = await api(bus, `STREAM.${info.config ? 'UPDATE' : 'CREATE'}.${spec.name}`, configOf(spec));
  if (done.error)
    throw new GroundError(
      `stream ${spec.name} cannot be ${info.config ? 'changed' : 'made'}: ${done.error.description}`,
    );
  const difference = streamDifference(spec, done.config ?? {});
  if (difference !== undefined) throw new GroundError(`stream ${spec.name} is not what was asked for: ${difference}`);
};

const layConsumer = async (bus: Bus, spec: ConsumerSpec): Promise<void> => {
  const { stream, name, ackWaitMs, maxAckPending, deliver, subjects } = spec;
  const config = {
    durable_name: name,
    ack_policy: 'explicit',
    ack_wait: ackWaitMs * 1_000_000,
    max_ack_pending: maxAckPending,
    max_deliver: -1,
    deliver_policy: deliver,
    replay_policy: 'instant',
    ...(subjects && { filter_subjects: subjects }),
  };
  const done = await api(bus, `CONSUMER.DURABLE.CREATE.${stream}.${name}`, { stream_name: stream, config, action: '' });
  if (done.error) throw new GroundError(`consumer ${name} of stream ${stream}: ${done.error.description}`);
};

const recordOf = (a: RosterEntry): AgentRecord => ({
  v: 1,
  tenant: a.tenant,
  agent: a.name,
  labels: a.labels,
  user: a.user,
});

/** Makes bucket AGENTS say exactly what the roster says, and that there is the probe. */
const layAgentRecords = async (bus: Bus, roster: Roster): Promise<void> => {
  const bucket = bus.bucket(buckets.agents);
  const wanted = new Map(
    [...roster.agents, probeEntry].map((a) => [agentKey(a.tenant, a.name), JSON.stringify(recordOf(a))]),
  );
  const there = new Map<string, string>();
  const follower = await bucket.watch(
    (e) => void (e.operation === 'PUT' ? there.set(e.key, new TextDecoder().decode(e.value)) : there.delete(e.key)),
  );
  await follower.close();
  for (const [key, value] of wanted) if (there.get(key) !== value) await bucket.put(key, value);
  for (const key of there.keys()) if (!wanted.has(key)) await bucket.purge(key);
};

export interface Provisioning {
  natsUrl: string;
  seeds: Seeds;
  roster: Roster;
}

/** Makes streams, buckets, consumers and the agents' records, or changes them to what the contracts say. */
export const provision = async ({ natsUrl, seeds, roster }: Provisioning): Promise<void> => {
  for (const account of new Set(streams.map((s) => s.account))) {
    await withBus(natsUrl, seeds, account, async (bus) => {
      for (const spec of streams.filter((s) => s.account === account)) await layStream(bus, spec);
      if (account === auditStream.account) for (const spec of consumers) await layConsumer(bus, spec);
      if (account === agentsBucket.account) await layAgentRecords(bus, roster);
    });
  }
};

/** Tells a running stack of an agent that was added or removed. */
export const recordAgents = ({ natsUrl, seeds, roster }: Provisioning): Promise<void> =>
  withBus(natsUrl, seeds, agentsBucket.account, (bus) => layAgentRecords(bus, roster));
