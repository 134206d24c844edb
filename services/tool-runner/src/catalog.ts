import { setTimeout as sleep } from 'node:timers/promises';
import { AgentGateError, type CatalogTool, toolName } from '@agentgate/contracts';
import { canonical } from '@agentgate/evidence';
import { toolDigest } from '@agentgate/runtime';
import { type ArgumentsCheck, createInputSchemas } from './input-schema.ts';
import type { ListedTool, Upstream } from './upstream.ts';

/** A tool that can be called. */
export interface CatalogEntry {
  upstream: Upstream;
  /** Its name at its server. */
  tool: string;
  /** The credential that the server's configuration injects. */
  credential: string | undefined;
  /** Of the tool as its server lists it now. */
  schemaDigest: string;
  checkArguments: ArgumentsCheck;
}

/** Where the others read which tools there are. */
export interface CatalogRecords {
  /** Holds each against its pin, writes what is new or changed, and takes out of this server what is no more. */
  sync(server: string, tools: CatalogTool[]): Promise<void>;
}

export interface Catalog {
  /** Throws UNKNOWN_TOOL, or UPSTREAM_UNAVAILABLE while its server cannot take a call. */
  find(tool: string): CatalogEntry;
  /** Where its server said that its tools changed: resolves once they are listed again, or after a while. */
  settled(tool: string): Promise<void> | undefined;
}

export interface CatalogOptions {
  upstreams: readonly { upstream: Upstream; credential: string | undefined }[];
  records: CatalogRecords;
  now: () => number;
  log: { warn(fields: object, message: string): void };
}

const maxTools = 4_096;
const maxDescription = 16_384;
const maxToolChars = 256 * 1024;
const againMs = 1_000;
const settleMs = 1_000;

export const createCatalog = ({ upstreams, records, now, log }: CatalogOptions): Catalog => {
  const compile = createInputSchemas();
  const servers = new Map(
    upstreams.map((u) => [u.upstream.server, { ...u, tools: undefined as Map<string, CatalogEntry> | undefined }]),
  );
  const lists = new Map<string, CatalogTool[]>();
  const write = (server: string, known: CatalogTool[]) => {
    lists.set(server, known);
    records.sync(server, known).catch((error: unknown) => {
      log.warn({ err: error, server }, 'the tools could not be written to the catalog');
      // Until they are, they are not called; unless it listed others meanwhile, these are tried again.
      setTimeout(() => lists.get(server) === known && write(server, known), againMs).unref();
    });
  };
  for (const server of servers.values()) {
    const { upstream, credential } = server;
    upstream.onTools((listed) => {
      const known = listed.slice(0, maxTools).flatMap((tool) => describe(upstream.server, tool, now(), log) ?? []);
      if (known.length < listed.length)
        log.warn(
          { server: upstream.server, listed: listed.length, known: known.length },
          'some tools cannot be offered',
        );
      server.tools = new Map(
        known.map((t) => [
          t.name,
          {
            upstream,
            credential,
            tool: t.name.slice(upstream.server.length + 1),
            schemaDigest: t.schema_digest,
            checkArguments: lazily(() => compile(t.input_schema)),
          },
        ]),
      );
      write(upstream.server, known);
    });
  }
  const serverOf = (tool: string) => servers.get(tool.slice(0, tool.indexOf('/')));
  return {
    settled: (tool) => {
      const relisted = serverOf(tool)?.upstream.relisting();
      return relisted && Promise.race([relisted, sleep(settleMs, undefined, { ref: false })]);
    },
    find: (tool) => {
      const server = serverOf(tool);
      if (!server) throw new AgentGateError('UNKNOWN_TOOL', `no server offers ${tool}`);
      const problem =
        server.upstream.problem() ??
        (server.upstream.relisting()
          ? `${server.upstream.server} is listing its tools again: they changed`
          : undefined) ??
        (server.tools ? undefined : `${server.upstream.server} has not listed its tools yet`);
      if (problem !== undefined) throw new AgentGateError('UPSTREAM_UNAVAILABLE', problem);
      const found = server.tools?.get(tool);
      if (!found) throw new AgentGateError('UNKNOWN_TOOL', `${server.upstream.server} offers no such tool`);
      return found;
    },
  };
};

/** Compiled at the first call, and again at each until it succeeds: a bad schema spoils its own tool only. */
const lazily = (compile: () => ArgumentsCheck): ArgumentsCheck => {
  let check: ArgumentsCheck | undefined;
  return (args) => {
    check ??= compile();
    check(args);
  };
};

/** The catalog's record of a tool, or undefined for one whose name or size cannot be. */
const describe = (
  server: string,
  tool: ListedTool,
  at: number,
  log: CatalogOptions['log'],
): CatalogTool | undefined => {
  const name = toolName.safeParse(`${server}/${tool.name}`);
  if (!name.success) return undefined;
  const told = {
    name: name.data,
    description: tool.description.slice(0, maxDescription),
    input_schema: tool.inputSchema,
    annotations: tool.annotations,
  };
  try {
    if (canonical(told).length > maxToolChars) return undefined;
    return { v: 1, ...told, schema_digest: toolDigest(told), seen_at: new Date(at).toISOString() };
  } catch (error) {
    log.warn({ err: error, server }, 'a tool is described in something that is not JSON');
    return undefined;
  }
};
