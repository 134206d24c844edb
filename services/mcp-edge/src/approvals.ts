import type { CallReply } from '@agentgate/client';
import { canonical, sha256Hex } from '@agentgate/evidence';

/** One exact call: what a person grants. */
interface ExactCall {
  session: string;
  tool: string;
  args: Record<string, unknown>;
}

export interface Approvals {
  /** Makes the call with the approval that was asked for when it was made the last time, which no MCP client knows how to say. */
  around(call: ExactCall, make: (approval: { approval?: string }) => Promise<CallReply>): Promise<CallReply>;
  sweep(): void;
}

/** The oldest goes where there are more: whoever made that call is asked for anew. */
const max = 10_000;

export const createApprovals = ({ now }: { now: () => number }): Approvals => {
  const asked = new Map<string, { id: string; expiresAt: number }>();
  const keep = (key: string, { status, approval }: CallReply) => {
    asked.delete(key);
    if (status !== 'approval_required' || !approval) return;
    asked.set(key, { id: approval.id, expiresAt: Date.parse(approval.expires_at) });
    for (const oldest of asked.keys()) {
      if (asked.size <= max) break;
      asked.delete(oldest);
    }
  };
  return {
    around: async ({ session, tool, args }, make) => {
      const key = sha256Hex(canonical([session, tool, args]));
      const approval = asked.get(key)?.id;
      // One that was rejected, voided or let pass is told as such, once: only who calls again after that has a person asked again.
      const reply = await make(approval === undefined ? {} : { approval });
      keep(key, reply);
      return reply;
    },
    sweep: () => {
      for (const [key, { expiresAt }] of asked) if (expiresAt <= now()) asked.delete(key);
    },
  };
};
