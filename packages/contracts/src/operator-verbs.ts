import { z } from 'zod';
import { refusal } from './agent.ts';
import { alertsAnswer, alertsAsk, retryAlertAnswer, retryAlertAsk, testAlertAnswer, testAlertAsk } from './alerts.ts';
import { request } from './contract.ts';
import {
  disclosuresAnswer,
  disclosuresAsk,
  eraseAnswer,
  eraseAsk,
  holdAnswer,
  holdAsk,
  holdsAnswer,
  holdsAsk,
  releaseHoldAnswer,
  releaseHoldAsk,
} from './erasure.ts';
import { incidentsAnswer, incidentsAsk, noteAnswer, noteAsk, releaseAsk } from './incident.ts';
import { name, type ServiceName } from './names.ts';
import {
  approvalsAnswer,
  approvalsAsk,
  approveAnswer,
  approveAsk,
  clearTaintAnswer,
  clearTaintAsk,
  killAsk,
  killReceipt,
  killsAnswer,
  killsAsk,
  leasesAnswer,
  leasesAsk,
  liftAnswer,
  liftAsk,
  resolveLeaseAnswer,
  resolveLeaseAsk,
  revokeLeasesAnswer,
  revokeLeasesAsk,
  sessionOwnerAnswer,
  sessionOwnerAsk,
  testCredentialAnswer,
  testCredentialAsk,
  toolAsk,
  toolShown,
  toolStates,
  toolsAskOfOperator,
  toolVerdictAnswer,
  toolVerdictAsk,
} from './operator.ts';
import {
  policyActivateAsk,
  policyBundleAnswer,
  policyBundleAsk,
  policyHistoryAnswer,
  policyHistoryAsk,
  policyPushAnswer,
  policyPushAsk,
  policyRollbackAsk,
  policyRolloutAnswer,
} from './policy-revisions.ts';
import {
  policyDiffAnswer,
  policyDiffAsk,
  policyExceptAnswer,
  policyExceptAsk,
  policyExceptEndAnswer,
  policyExceptEndAsk,
  policyExceptionsAnswer,
  policyExceptionsAsk,
  policyShadowAnswer,
  policyShadowAsk,
} from './policy-trials.ts';

// What operators, approvers and auditors can ask, and who answers.

const verb = <A, B>(
  word: string,
  ask: z.ZodType<A>,
  answer: z.ZodType<B>,
  of: { service: ServiceName; timeoutMs: number },
) => request(`ops.v1.*.${word}`, { ask, answer, by: ['operator'], of: of.service, timeoutMs: of.timeoutMs });
const approvals = { service: 'approvals' as const, timeoutMs: 5_000 };
const broker = (timeoutMs: number) => ({ service: 'credential-broker' as const, timeoutMs });
const killSwitch = (timeoutMs: number) => ({ service: 'kill-switch' as const, timeoutMs });
const runner = { service: 'tool-runner' as const, timeoutMs: 5_000 };
const policy = (timeoutMs: number) => ({ service: 'policy' as const, timeoutMs });
const notifier = (timeoutMs: number) => ({ service: 'notifier' as const, timeoutMs });
/** An erasure takes as long as what it erases. */
const audit = (timeoutMs: number) => ({ service: 'audit' as const, timeoutMs });
const sentinel = { service: 'sentinel' as const, timeoutMs: 5_000 };

export const operatorVerbs = {
  kill: verb('kill', killAsk, z.union([killReceipt, refusal]), killSwitch(10_000)),
  lift: verb('lift', liftAsk, z.union([liftAnswer, refusal]), killSwitch(5_000)),
  kills: verb('kills', killsAsk, z.union([killsAnswer, refusal]), killSwitch(5_000)),
  incidents: verb('incidents', incidentsAsk, z.union([incidentsAnswer, refusal]), sentinel),
  /** The kill-switch lifts; the sentinel, which may not, only hears of it. */
  release: verb('release', releaseAsk, z.union([liftAnswer, refusal]), killSwitch(5_000)),
  note: verb('note', noteAsk, z.union([noteAnswer, refusal]), sentinel),
  'clear-taint': verb('clear-taint', clearTaintAsk, z.union([clearTaintAnswer, refusal]), policy(5_000)),
  /** Policy owns the sessions, and is whom a call's own session is checked by. */
  session: verb('session', sessionOwnerAsk, z.union([sessionOwnerAnswer, refusal]), policy(5_000)),
  'policy-push': verb('policy-push', policyPushAsk, z.union([policyPushAnswer, refusal]), policy(60_000)),
  'policy-activate': verb(
    'policy-activate',
    policyActivateAsk,
    z.union([policyRolloutAnswer, refusal]),
    policy(60_000),
  ),
  'policy-rollback': verb(
    'policy-rollback',
    policyRollbackAsk,
    z.union([policyRolloutAnswer, refusal]),
    policy(60_000),
  ),
  'policy-bundle': verb('policy-bundle', policyBundleAsk, z.union([policyBundleAnswer, refusal]), policy(15_000)),
  'policy-shadow': verb('policy-shadow', policyShadowAsk, z.union([policyShadowAnswer, refusal]), policy(30_000)),
  'policy-diff': verb('policy-diff', policyDiffAsk, z.union([policyDiffAnswer, refusal]), policy(5_000)),
  'policy-except': verb('policy-except', policyExceptAsk, z.union([policyExceptAnswer, refusal]), policy(5_000)),
  'policy-except-end': verb(
    'policy-except-end',
    policyExceptEndAsk,
    z.union([policyExceptEndAnswer, refusal]),
    policy(5_000),
  ),
  'policy-exceptions': verb(
    'policy-exceptions',
    policyExceptionsAsk,
    z.union([policyExceptionsAnswer, refusal]),
    policy(5_000),
  ),
  'policy-history': verb('policy-history', policyHistoryAsk, z.union([policyHistoryAnswer, refusal]), policy(5_000)),
  approvals: verb('approvals', approvalsAsk, z.union([approvalsAnswer, refusal]), approvals),
  approve: verb('approve', approveAsk, z.union([approveAnswer, refusal]), approvals),
  reject: verb('reject', approveAsk, z.union([approveAnswer, refusal]), approvals),
  leases: verb('leases', leasesAsk, z.union([leasesAnswer, refusal]), broker(5_000)),
  'revoke-leases': verb('revoke-leases', revokeLeasesAsk, z.union([revokeLeasesAnswer, refusal]), broker(60_000)),
  'resolve-lease': verb('resolve-lease', resolveLeaseAsk, z.union([resolveLeaseAnswer, refusal]), broker(5_000)),
  'test-credential': verb(
    'test-credential',
    testCredentialAsk,
    z.union([testCredentialAnswer, refusal]),
    broker(30_000),
  ),
  tools: verb('tools', toolsAskOfOperator, z.union([toolStates, refusal]), runner),
  tool: verb('tool', toolAsk, z.union([toolShown, refusal]), runner),
  'tool-accept': verb('tool-accept', toolVerdictAsk, z.union([toolVerdictAnswer, refusal]), runner),
  'tool-reject': verb('tool-reject', toolVerdictAsk, z.union([toolVerdictAnswer, refusal]), runner),
  alerts: verb('alerts', alertsAsk, z.union([alertsAnswer, refusal]), notifier(5_000)),
  'retry-alert': verb('retry-alert', retryAlertAsk, z.union([retryAlertAnswer, refusal]), notifier(30_000)),
  'test-alert': verb('test-alert', testAlertAsk, z.union([testAlertAnswer, refusal]), notifier(15_000)),
  erase: verb('erase', eraseAsk, z.union([eraseAnswer, refusal]), audit(60_000)),
  /** Auditors hold and release what operators then cannot erase: neither can destroy evidence's content alone against the other. */
  hold: verb('hold', holdAsk, z.union([holdAnswer, refusal]), audit(5_000)),
  'release-hold': verb('release-hold', releaseHoldAsk, z.union([releaseHoldAnswer, refusal]), audit(5_000)),
  holds: verb('holds', holdsAsk, z.union([holdsAnswer, refusal]), audit(5_000)),
  disclosures: verb('disclosures', disclosuresAsk, z.union([disclosuresAnswer, refusal]), audit(5_000)),
};
export type OperatorVerb = keyof typeof operatorVerbs;
export const operatorSubject = (person: string, word: OperatorVerb): string => `ops.${name.parse(person)}.${word}`;
/** The person of a subject of `operatorVerbs`, as NATS enforced it. */
export const personOf = (subject: string): string => subject.split('.')[2] ?? '';
