import type { Bucket, BucketEntry, Follower } from '@agentgate/bus';
import {
  agentKey,
  agentRecord,
  type CatalogTool,
  catalogTool,
  parseField,
  type ToolPin,
  toolKey,
  toolOfKey,
  toolPin,
} from '@agentgate/contracts';
import type { z } from 'zod';
import type { Agents, Catalog, Pins } from '../ports.ts';

// Buckets as maps in memory, kept up to date by their watches: a decision asks nobody who an agent is or what a tool is.

interface Log {
  error(fields: object, message: string): void;
}
type Watched = Pick<Bucket, 'watch'>;

/** `into` has each by its name, which a decision knows. An entry that cannot be read, or that stands under another's key, is no entry. */
const follow = <T>(
  bucket: Watched,
  opts: {
    schema: z.ZodType<T>;
    keyOf: (value: T) => string;
    nameOf: (key: string) => string | undefined;
    log: Log;
    into: Map<string, T>;
  },
): Promise<Follower> =>
  bucket.watch(({ key, value, operation }: BucketEntry) => {
    const name = opts.nameOf(key);
    if (name !== undefined) opts.into.delete(name);
    if (operation !== 'PUT') return;
    try {
      const record = parseField(opts.schema, JSON.parse(Buffer.from(value).toString('utf8')));
      if (name === undefined || opts.keyOf(record) !== key) throw new Error('the record is about another key');
      opts.into.set(name, record);
    } catch (error) {
      opts.log.error({ err: error, key }, 'a record cannot be read and counts as absent');
    }
  });

/** Resolves once every record that stood there was read. */
export const watchAgents = async (bucket: Watched, log: Log): Promise<Agents & { close(): Promise<void> }> => {
  const into = new Map<string, z.infer<typeof agentRecord>>();
  const keyOf = (record: z.infer<typeof agentRecord>) => agentKey(record.tenant, record.agent);
  const follower = await follow(bucket, { schema: agentRecord, keyOf, nameOf: (key) => key, log, into });
  return { get: (tenant, agent) => into.get(agentKey(tenant, agent)), close: () => follower.close() };
};

export const watchCatalog = async (bucket: Watched, log: Log): Promise<Catalog & { close(): Promise<void> }> => {
  const into = new Map<string, CatalogTool>();
  const keyOf = (record: CatalogTool) => toolKey(record.name);
  const follower = await follow(bucket, { schema: catalogTool, keyOf, nameOf: toolOfKey, log, into });
  return { get: (tool) => into.get(tool), all: () => into.values(), close: () => follower.close() };
};

/** A pin that cannot be read is none, and a tool without one is not called. */
export const watchPins = async (bucket: Watched, log: Log): Promise<Pins & { close(): Promise<void> }> => {
  const into = new Map<string, ToolPin>();
  const keyOf = (pin: ToolPin) => toolKey(pin.tool);
  const follower = await follow(bucket, { schema: toolPin, keyOf, nameOf: toolOfKey, log, into });
  return { get: (tool) => into.get(tool), close: () => follower.close() };
};
