import type { Decision, PolicyException } from '@agentgate/contracts';
import { deny } from '@agentgate/policy-engine';

// A call that passes by an operator's exception: what the engine is shown of it, and what its answer may make of it.

const prefix = 'exception/';
const isBy = (shown: PolicyException | undefined, { rule }: Decision): shown is PolicyException =>
  shown !== undefined && rule === `${prefix}${shown.id}`;

export const shownOf = ({ id, owner, until }: PolicyException) => ({ id, owner, until });

/** Rego names exceptions, and makes none. */
export const withinException = (shown: PolicyException | undefined, decision: Decision): Decision =>
  !decision.rule?.startsWith(prefix) || isBy(shown, decision)
    ? decision
    : deny('POLICY_INVALID', `the policy's answer cannot be used: there is no ${decision.rule}`);

/** When the exception that a call passes by is over; for ever where it passes by itself. */
export const exceptionEnds = (shown: PolicyException | undefined, decision: Decision): number =>
  isBy(shown, decision) ? Date.parse(shown.until) : Number.POSITIVE_INFINITY;
