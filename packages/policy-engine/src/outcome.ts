import {
  AgentGateError,
  type Code,
  createParser,
  type Decision,
  decision as decisionSchema,
  type Obligations,
  obligations as obligationsSchema,
  toAgentGateError,
} from '@agentgate/contracts';
import type { Evaluation } from './engine/evaluator.ts';
import type { PolicyData } from './grants/policy-data.ts';

/** Obligations that a service carries out today. With any other the call is denied: a promise nobody keeps is none. */
const carriedOut: readonly string[] = [
  'credential',
  'rate_limits',
  'redact',
  'taint',
  'evidence',
  'witnessed',
  'approvers',
];
/** These go with a permit. */
const withAllowOnly: readonly string[] = ['credential', 'rate_limits', 'taint', 'witnessed'];

const readDecision = createParser(decisionSchema);

export const deny = (code: Code, reason: string): Decision => ({ action: 'deny', code, reason, obligations: {} });
const invalid = (why: string) => deny('POLICY_INVALID', `the policy's answer cannot be used: ${why}`);

/** As it stands in evidence: what is in canonical order serializes three times as fast, and Rego answers in an order of its own. */
const inOrder = ({ action, code, obligations, reason, rule }: Decision): Decision => ({
  action,
  code,
  obligations,
  reason,
  ...(rule !== undefined && { rule }),
});

const codesOf: Record<Decision['action'], readonly Code[]> = {
  allow: ['OK'],
  require_approval: ['APPROVAL_REQUIRED'],
  deny: ['NO_GRANT', 'ARGUMENT_NOT_ALLOWED', 'POLICY_DENIED'],
};

/** The decision that Rego gave, or POLICY_INVALID for anything that is not exactly one. Throws what the engine could not do. */
export const outcomeOf = (
  evaluation: Evaluation | AgentGateError,
  { server, credentials }: { server: string; credentials: PolicyData['credentials'] },
): Decision => {
  if (evaluation instanceof AgentGateError) throw evaluation;
  if ('fault' in evaluation) return deny('FIELD_INVALID', evaluation.fault);
  if (evaluation.result === undefined) return invalid('there is none');
  let decision: Decision;
  try {
    decision = inOrder(readDecision(evaluation.result));
  } catch (error) {
    return invalid(toAgentGateError(error).message.slice(0, 512));
  }
  if (!codesOf[decision.action].includes(decision.code))
    return invalid(`code ${decision.code} does not go with ${decision.action}`);
  const names = Object.keys(decision.obligations) as (keyof Obligations)[];
  for (const name of names) {
    if (decision.obligations[name] === undefined) continue;
    if (!carriedOut.includes(name)) return invalid(`no service carries out the obligation ${name}`);
    if (decision.action !== 'require_approval' && name === 'approvers')
      return invalid('approvers goes with require_approval only');
    if (decision.action !== 'allow' && withAllowOnly.includes(name)) return invalid(`${name} goes with allow only`);
  }
  const { credential } = decision.obligations;
  const configured = Object.hasOwn(credentials, server) ? credentials[server] : undefined;
  if (credential && configured?.name !== credential.name)
    return invalid(`server ${server} is not configured for that credential`);
  // In the schema's order, which is the canonical one: permits are signed over them.
  return names.length === 0 ? decision : { ...decision, obligations: obligationsSchema.parse(decision.obligations) };
};
