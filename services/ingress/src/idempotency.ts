import { AgentGateError } from '@agentgate/contracts';
import type { Reply } from './call-path.ts';

/** What stands under a key: whose call it is, over what content, and its reply once there is one. */
export interface Claim {
  call: string;
  /** SHA-256 over the canonical form of session, tool and arguments. */
  content: string;
  /** Milliseconds since the epoch: later than this, nobody works on it any more. */
  until: number;
  reply?: Reply;
}

/** Where claims live: shared by all replicas, each write atomic. */
export interface KeyStore {
  /** Takes the key, or gives what stands under it. */
  claim(at: string, claim: Claim): Promise<Claim | undefined>;
  read(at: string): Promise<Claim | undefined>;
  finish(at: string, claim: Claim): Promise<void>;
  release(at: string): Promise<void>;
}

export interface KeyedCall {
  at: string;
  claim: Claim;
  /** Until when the asker waits. */
  deadline: number;
}

const pollMs = 50;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * Runs a keyed call once: the first asker runs it, everybody else with the same content gets its reply. Throws KEY_REUSED for
 * other content. A claim whose worker is gone answers `outcome_unknown` and is never run again.
 */
export const runOnce = async (
  store: KeyStore,
  { at, claim, deadline }: KeyedCall,
  now: () => number,
  run: () => Promise<Reply>,
): Promise<Reply> => {
  const standing = await store.claim(at, claim);
  if (standing !== undefined) return await repeat(store, at, standing, { claim, deadline, now });
  const reply = await run();
  // Nothing was decided for good: the same key may come again, with the approval.
  if (reply.status === 'approval_required') await store.release(at);
  else await store.finish(at, { ...claim, reply });
  return reply;
};

const repeat = async (
  store: KeyStore,
  at: string,
  first: Claim,
  { claim, deadline, now }: { claim: Claim; deadline: number; now: () => number },
): Promise<Reply> => {
  if (first.content !== claim.content)
    throw new AgentGateError('KEY_REUSED', '/key: was used with other content within the last 10 minutes');
  for (let standing: Claim | undefined = first; ; standing = await store.read(at)) {
    if (standing?.reply) return standing.reply;
    if (standing === undefined || now() > standing.until)
      return {
        call: first.call,
        status: 'outcome_unknown',
        code: 'OUTCOME_UNKNOWN',
        reason: 'the first call with this key left no reply; evidence holds what is known',
      };
    if (now() > deadline)
      return {
        call: first.call,
        status: 'timeout',
        code: 'TIMEOUT',
        reason: 'the first call with this key has not ended yet',
      };
    await sleep(pollMs);
  }
};
