import type { Bus } from '@agentgate/bus';
import type { Config } from '@agentgate/contracts';
import type { Children } from './adapters/child-transport.ts';
import { createHttpUpstream } from './adapters/mcp-http.ts';
import { createStdioUpstream } from './adapters/mcp-stdio.ts';
import { createNatsUpstream } from './adapters/nats-tools.ts';
import type { Listing, Upstream } from './upstream.ts';

export interface UpstreamsOptions {
  servers: Config['servers'];
  bus: Pick<Bus, 'requestRaw' | 'toolBatcher' | 'notify'>;
  children: Children;
  path: string;
  homes: string;
  /** Of the servers whose list is read with a credential. */
  listing: (server: string) => Listing;
  now: () => number;
  log: {
    debug(fields: object, message: string): void;
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

/** One upstream a server of agentgate.yaml, with the credential that its calls need. */
export const createUpstreams = ({
  servers,
  listing,
  ...shared
}: UpstreamsOptions): { upstream: Upstream; credential: string | undefined }[] =>
  Object.entries(servers).map(([server, { stdio, http, nats, credential, inject, list_with }]) => {
    const common = { ...shared, server, inject, listing: list_with === undefined ? undefined : listing(server) };
    if (stdio) return { upstream: createStdioUpstream({ ...common, stdio }), credential };
    if (http) return { upstream: createHttpUpstream({ ...common, http }), credential };
    if (nats) return { upstream: createNatsUpstream({ ...common, nats }), credential };
    throw new Error(`${server} is reached neither by stdio nor by http nor by nats`);
  });
