import { type Bucket, type BucketEntry, type Bus, WrongRevision } from '@agentgate/bus';
import { buckets, type CatalogTool, catalogTool, type EventDraft, toolKey } from '@agentgate/contracts';
import type { CatalogRecords } from '../catalog.ts';

export interface ToolsBucketOptions {
  bus: Pick<Bus, 'bucket'>;
  /** Resolves once the event is durable. */
  record(event: EventDraft<'tool.registered'> | EventDraft<'tool.changed'>): Promise<unknown>;
  log: { warn(fields: object, message: string): void };
}

interface Held {
  name: string;
  digest: string | undefined;
  revision: number;
}

export interface ToolsBucket extends CatalogRecords {
  /** Servers that are no more take their tools along. */
  keepOnly(servers: ReadonlySet<string>): Promise<void>;
  close(): Promise<void>;
}

/** The catalog as everybody sees it: bucket TOOLS. Replicas write the same; the one whose write counts tells evidence. */
export const openToolsBucket = async ({ bus, record, log }: ToolsBucketOptions): Promise<ToolsBucket> => {
  const bucket = bus.bucket(buckets.tools);
  const held = new Map<string, Held>();
  const follower = await bucket.watch((entry) => take(held, entry));
  const serverOf = (tool: string) => tool.slice(0, tool.indexOf('/'));
  /** One server after the other and one list after the other: the newest stands in the end. */
  let last: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>) => {
    last = last.catch(() => {}).then(work);
    return last;
  };
  const removeWhere = async (isGone: (tool: string) => boolean) => {
    for (const [key, { name, digest }] of held) {
      if (digest === undefined || !isGone(name)) continue;
      await bucket.purge(key);
      held.delete(key);
    }
  };
  return {
    sync: (server, tools) =>
      inTurn(async () => {
        for (const tool of tools) {
          const was = await write(bucket, held, tool);
          if (was === 'same') continue;
          const event =
            was === undefined
              ? {
                  name: 'tool.registered' as const,
                  subject: tool.name,
                  data: { tool: tool.name, schema_digest: tool.schema_digest },
                }
              : {
                  name: 'tool.changed' as const,
                  subject: tool.name,
                  data: { tool: tool.name, was, schema_digest: tool.schema_digest },
                };
          // It is queued whatever happens, and written when it can be.
          await record(event).catch((error: unknown) =>
            log.warn({ err: error, tool: tool.name }, 'a tool of the catalog is not in evidence yet'),
          );
        }
        const names = new Set(tools.map((t) => t.name));
        await removeWhere((tool) => serverOf(tool) === server && !names.has(tool));
      }),
    keepOnly: (servers) => inTurn(() => removeWhere((tool) => !servers.has(serverOf(tool)))),
    close: () => follower.close(),
  };
};

/** Writes the tool unless it stands there already; the digest that was there before, if any. */
const write = async (
  bucket: Bucket,
  held: Map<string, Held>,
  tool: CatalogTool,
): Promise<string | undefined | 'same'> => {
  const key = toolKey(tool.name);
  const before = held.get(key);
  if (before?.digest === tool.schema_digest) return 'same';
  try {
    const value = JSON.stringify(tool);
    const revision =
      before === undefined ? await bucket.create(key, value) : await bucket.update(key, value, before.revision);
    held.set(key, { name: tool.name, digest: tool.schema_digest, revision });
    return before?.digest;
  } catch (error) {
    // Another replica was first; it tells evidence.
    if (error instanceof WrongRevision) return 'same';
    throw error;
  }
};

const take = (held: Map<string, Held>, { key, value, revision, operation }: BucketEntry): void => {
  if ((held.get(key)?.revision ?? 0) > revision) return;
  if (operation !== 'PUT') {
    held.delete(key);
    return;
  }
  const parsed = catalogTool.safeParse(parseJson(value));
  // What cannot be read is overwritten by the next list, or taken away if no server lists it.
  const name = parsed.success ? parsed.data.name : Buffer.from(key, 'base64url').toString('utf8');
  held.set(key, { name, digest: parsed.success ? parsed.data.schema_digest : undefined, revision });
};

const parseJson = (value: Uint8Array): unknown => {
  try {
    return JSON.parse(new TextDecoder().decode(value));
  } catch {
    return undefined;
  }
};
