import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from '@agentgate/contracts';
import { environmentOf } from '../credential.ts';
import type { Upstream } from '../upstream.ts';
import { type Children, createChildTransport } from './child-transport.ts';
import { createMcpUpstream, type McpUpstreamOptions } from './mcp-upstream.ts';

export interface StdioOptions extends Pick<McpUpstreamOptions, 'listing' | 'now' | 'log' | 'pace'> {
  server: string;
  stdio: NonNullable<Server['stdio']>;
  inject: Server['inject'];
  /** The runner's own PATH: the one variable that is handed on. */
  path: string;
  /** Where each server has a home of its own. */
  homes: string;
  children: Children;
}

const maxMessageBytes = 8 * 1024 * 1024;
/** Lines of stderr that a server may have in the log within ten seconds. */
const maxLines = 100;
const lineWindowMs = 10_000;

/** An MCP server that is a process of ours: no shell, an environment of PATH, HOME and what is configured. */
export const createStdioUpstream = (opts: StdioOptions): Upstream => {
  const { server, stdio, inject, log } = opts;
  const home = join(opts.homes, server);
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const env = { PATH: opts.path, HOME: home, ...stdio.env };
  const onStderr = bounded((line) => log.info({ server, stderr: line }, 'a tool server says'), opts.now);
  return createMcpUpstream({
    ...opts,
    // Some servers end at whatever comes before `initialize`.
    handshake: 'legacy',
    transport: (credential) =>
      createChildTransport(
        {
          command: stdio.command,
          args: stdio.args,
          cwd: stdio.cwd ?? home,
          maxMessageBytes,
          ...(credential === undefined ? { env, onStderr } : { env: { ...env, ...environmentOf(inject, credential) } }),
        },
        opts.children,
      ),
  });
};

const bounded = (tell: (line: string) => void, now: () => number) => {
  let since = Number.NEGATIVE_INFINITY;
  let lines = 0;
  return (line: string) => {
    if (now() - since > lineWindowMs) {
      since = now();
      lines = 0;
    }
    if (++lines <= maxLines) tell(line);
  };
};
