import type { Bus } from '@agentgate/bus';
import { accountConnections, agentTag, serverKick } from '@agentgate/contracts';
import { z } from 'zod';
import type { Connections } from '../ports.ts';

const pageSize = 512;
const maxPages = 128;
const answerMs = 1_000;

const page = z.object({
  data: z.object({
    server_id: z.string(),
    total: z.int(),
    connections: z
      .array(z.object({ cid: z.int(), jwt: z.string().optional(), tags: z.array(z.string()).optional() }))
      .nullish(),
  }),
});
/**
 * Whether it is this agent's, by the user's JWT, which the server has verified. Of a bearer token, with which whoever reads it could come in, it tells the
 * tags alone. Where it tells neither, nobody is overlooked: that is an error.
 */
const isOf = (agent: string, { jwt, tags }: { jwt?: string | undefined; tags?: string[] | undefined }): boolean => {
  if (jwt !== undefined) return nameIn(jwt) === agent;
  if (!tags?.some((tag) => tag.startsWith(agentTag(''))))
    throw new Error('the server does not say whose a connection is');
  return tags.includes(agentTag(agent));
};
const nameIn = (jwt: string): string =>
  z.object({ name: z.string() }).parse(JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())).name;
const kicked = z.object({ error: z.unknown().optional() });

/**
 * Cuts an agent's connections at the server: each closes within milliseconds. The agent may connect anew and is told then that it is killed;
 * to shut it out needs the operator's key, which no service holds (`agentgate agent rm`). One server; others of a cluster are not asked.
 */
export const createNatsConnections = (
  bus: Pick<Bus, 'requestRaw'>,
  accountOf: ReadonlyMap<string, string>,
): Connections => {
  const ask = async <T>(subject: string, body: object, schema: z.ZodType<T>): Promise<T> => {
    const answer = await bus.requestRaw(subject, JSON.stringify(body), { of: 'nats-server', timeoutMs: answerMs });
    return schema.parse(JSON.parse(new TextDecoder().decode(answer)));
  };
  const connectionsOf = async (account: string, agent: string) => {
    const found: { server: string; cid: number }[] = [];
    for (let offset = 0; offset < pageSize * maxPages; offset += pageSize) {
      const { data } = await ask(accountConnections(account), { auth: true, offset, limit: pageSize }, page);
      for (const connection of data.connections ?? [])
        if (isOf(agent, connection)) found.push({ server: data.server_id, cid: connection.cid });
      if (offset + pageSize >= data.total) return found;
    }
    throw new Error('the account has more connections than can be looked through');
  };
  return {
    cut: async ({ tenant, agent }) => {
      const account = accountOf.get(tenant);
      if (account === undefined) return 0;
      const found = await connectionsOf(account, agent);
      await Promise.all(
        found.map(async ({ server, cid }) => {
          const { error } = await ask(serverKick(server), { cid }, kicked);
          // One that went meanwhile is what was wanted.
          if (error !== undefined && (await connectionsOf(account, agent)).some((c) => c.cid === cid))
            throw new Error('the server did not cut a connection');
        }),
      );
      return found.length;
    },
  };
};
