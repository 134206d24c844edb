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
  /** Puts the claim in the place of one that has its reply; false where that one stands no longer. */
  retake(at: string, standing: Claim, claim: Claim): Promise<boolean>;
}

export interface KeyedCall {
  at: string;
  claim: Claim;
  /** Until when the asker waits. */
  deadline: number;
  /** What a person was asked before, and the call comes again with. */
  approval: string | undefined;
}

const pollMs = 50;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * Runs a keyed call once: the first asker runs it, everybody else with the same content gets its reply. Throws KEY_REUSED for
 * other content. A claim whose worker is gone answers `outcome_unknown` and is never run again.
 */
export const runOnce = async (
  store: KeyStore,
  keyed: KeyedCall,
  now: () => number,
  run: () => Promise<Reply>,
): Promise<Reply> => {
  const { at, claim, deadline } = keyed;
  const work = async () => {
    const reply = await run();
    await store.finish(at, { ...claim, reply });
    return reply;
  };
  const first = await store.claim(at, claim);
  if (first === undefined) return await work();
  if (first.content !== claim.content)
    throw new AgentGateError('KEY_REUSED', '/key: was used with other content within the last 10 minutes');
  for (let standing: Claim | undefined = first; ; standing = await store.read(at)) {
    if (standing?.reply && !isOpen(standing.reply, keyed, now())) return standing.reply;
    if (standing?.reply) {
      if (await store.retake(at, standing, claim)) return await work();
      continue;
    }
    if (standing === undefined || now() > standing.until) return lostReply(first.call);
    if (now() > deadline) return notEnded(first.call);
    await sleep(pollMs);
  }
};

/** A question to a person decides nothing for good: the call comes again with the approval, or once nobody can give it any more. */
const isOpen = ({ status, approval }: Reply, keyed: KeyedCall, now: number): boolean =>
  status === 'approval_required' &&
  (keyed.approval !== undefined || (approval !== undefined && Date.parse(approval.expires_at) <= now));

const lostReply = (call: string): Reply => ({
  call,
  status: 'outcome_unknown',
  code: 'OUTCOME_UNKNOWN',
  reason: 'the first call with this key left no reply; evidence holds what is known',
});
const notEnded = (call: string): Reply => ({
  call,
  status: 'timeout',
  code: 'TIMEOUT',
  reason: 'the first call with this key has not ended yet',
});
