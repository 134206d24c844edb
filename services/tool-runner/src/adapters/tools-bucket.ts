import { type Bucket, type BucketEntry, type Bus, WrongRevision } from '@agentgate/bus';
import { buckets, type CatalogTool, catalogTool, toolKey } from '@agentgate/contracts';
import type { CatalogRecords } from '../catalog.ts';
import type { Pins } from '../pins/pins.ts';

export interface ToolsBucketOptions {
  bus: Pick<Bus, 'bucket'>;
  pins: Pick<Pins, 'saw'>;
}

interface Held {
  name: string;
  digest: string | undefined;
  revision: number;
}

export interface ToolsBucket extends CatalogRecords {
  /** Servers that are no more take their tools along. */
  keepOnly(servers: ReadonlySet<string>): Promise<void>;
  /** Digest of a tool's definition as it is listed now. */
  listed(tool: string): string | undefined;
  close(): Promise<void>;
}

/** The catalog as everybody sees it: bucket TOOLS. Replicas write the same. */
export const openToolsBucket = async ({ bus, pins }: ToolsBucketOptions): Promise<ToolsBucket> => {
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
          // Its pin first: whoever finds the tool in the catalog finds what to hold it against.
          await pins.saw(tool);
          await write(bucket, held, tool);
        }
        const names = new Set(tools.map((t) => t.name));
        await removeWhere((tool) => serverOf(tool) === server && !names.has(tool));
      }),
    keepOnly: (servers) => inTurn(() => removeWhere((tool) => !servers.has(serverOf(tool)))),
    listed: (tool) => held.get(toolKey(tool))?.digest,
    close: () => follower.close(),
  };
};

/** Writes the tool unless it stands there already. */
const write = async (bucket: Bucket, held: Map<string, Held>, tool: CatalogTool): Promise<void> => {
  const key = toolKey(tool.name);
  const before = held.get(key);
  if (before?.digest === tool.schema_digest) return;
  try {
    const value = JSON.stringify(tool);
    const revision =
      before === undefined ? await bucket.create(key, value) : await bucket.update(key, value, before.revision);
    held.set(key, { name: tool.name, digest: tool.schema_digest, revision });
  } catch (error) {
    // Another replica was first.
    if (!(error instanceof WrongRevision)) throw error;
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
