import { hash } from 'node:crypto';
import { AgentGateError } from '@agentgate/contracts';
import type { Redis } from 'ioredis';

export interface Script {
  lua: string;
  sha: string;
}
export const script = (lua: string): Script => ({ lua, sha: hash('sha1', lua, 'hex') });

/** Rejects POLICY_UNAVAILABLE whatever Redis did: without what it knows nothing is decided. */
export const runScript = async (
  redis: Redis,
  { lua, sha }: Script,
  keys: string[],
  args: (string | number)[],
): Promise<unknown> => {
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw unavailable(error);
  }
  try {
    return await redis.eval(lua, keys.length, ...keys, ...args);
  } catch (error) {
    throw unavailable(error);
  }
};

export const unavailable = (cause: unknown) =>
  new AgentGateError('POLICY_UNAVAILABLE', 'policy cannot read its sessions', { cause });

/** How long an ended session is still known as expired instead of unknown. */
export const graceMs = 60 * 60 * 1000;

export const sessionKey = (session: string) => `ses:${session}`;
export const taintKeys = ({ tenant, agent, session }: { tenant: string; agent: string; session: string }) => [
  `taint:${session}`,
  `taint:${tenant}/${agent}`,
];
