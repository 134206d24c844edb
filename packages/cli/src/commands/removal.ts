import { AgentGateError, limits } from '@agentgate/contracts';
import type { Named } from '@agentgate/ground';
import { CliError } from '../context.ts';
import { visible } from './approvals.ts';
import type { ToldReceipt } from './kill.ts';

/** What ends an agent. Each may be done again, whatever became of it before. */
export interface RemovalSteps {
  /** Strikes it from the roster: from then on no start of the stack lets it in. */
  strike(): Promise<void>;
  /** Stops all that it does. Without `endsMs` for good. */
  kill(endsMs?: number): Promise<ToldReceipt>;
  /** Has the running nats-server cut it off and refuse it. */
  revoke(): Promise<void>;
  /** Takes away the record by which the services know it. */
  forget(): Promise<void>;
  /** Deletes its credentials file and its token, which are good for nothing by then. */
  drop(): void;
}

const removed = 'the agent was removed';

/** Why a removed agent is killed, and who killed it before and why: that order is replaced. */
export const removalReason = (before: { by: string; reason: string } | undefined): string => {
  if (before === undefined) return removed;
  if (before.reason.startsWith(removed)) return before.reason;
  const whole = `${removed}, and killed before by ${before.by}: ${before.reason}`;
  // Half of a character at its end would have the order refused.
  return whole.slice(0, limits.reasonLength).toWellFormed();
};

/** Longer than a revocation takes or fails; whoever is given the name anew is not held up by it for long. */
const killMs = 15_000;

/**
 * Stops the agent and shuts it out, both at once. No step waits for another to succeed; where the agent is not shut out, or a point did not confirm
 * that it was stopped, its kill does not end by itself, so that it never runs on because something failed. Throws CliError naming the steps that failed.
 */
export const removeWholly = async (who: Named, steps: RemovalSteps): Promise<ToldReceipt> => {
  const failed = new Set<string>();
  const attempt = async <T>(what: string, work: () => T | Promise<T>): Promise<{ result: T } | undefined> => {
    try {
      return { result: await work() };
    } catch (error) {
      failed.add(`${what} failed (${reasonOf(error)})`);
      return undefined;
    }
  };
  const struck = await attempt('striking it from agents.json', steps.strike);
  const [stopped, revoked] = await Promise.all([
    attempt('killing it', () => steps.kill(killMs)),
    attempt('revoking it at nats-server', steps.revoke),
  ]);
  const isOut = struck !== undefined && revoked !== undefined;
  const isStopped = isOut && stopped?.result.contained !== false;
  const killed = isStopped ? stopped : await attempt('killing it', () => steps.kill());
  await attempt('taking its record away', steps.forget);
  await attempt('deleting its credentials', steps.drop);
  if (killed && failed.size === 0) return killed.result;
  throw new CliError(
    `agent ${who.name} of tenant ${who.tenant} is not wholly removed: ${[...failed].join(', ')}; ${stateOf(isOut, killed !== undefined)}; agent rm again does the rest`,
  );
};

const reasonOf = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error);
  return visible(error instanceof AgentGateError ? `${error.code}: ${message}` : message);
};

const stateOf = (isOut: boolean, isKilled: boolean): string => {
  if (isOut) return isKilled ? 'it is stopped and shut out' : 'it is shut out, but what it had in flight may go on';
  return isKilled ? 'it is stopped, and its kill stands until it is lifted' : 'it may run on';
};
