import type { Bus } from '@agentgate/bus';
import {
  maxBundleBytes,
  operatorVerbs,
  parseField,
  parseStrict,
  policyActivateAsk,
  policyBundleAsk,
  policyHistoryAsk,
  policyPrepare,
  policyPushAsk,
  policyRollbackAsk,
  policySettle,
  type RequestContract,
  toAgentGateError,
} from '@agentgate/contracts';
import { createAnswerPerson } from '@agentgate/runtime';
import type { ActivePolicy } from './active-policy.ts';
import type { Rollout } from './rollout.ts';

export interface ServingPeople {
  bus: Pick<Bus, 'serveRaw' | 'serveBroadcast' | 'instance'>;
  log: { error(fields: object, message: string): void };
}
export interface ServingRollouts extends ServingPeople {
  rollout: Rollout;
  active: Pick<ActivePolicy, 'prepare' | 'settle'>;
  /** Told of a bundle that this replica does not take. */
  onRefused(
    about: { version: number; bundle?: string | undefined; action: 'activate' | 'rollback'; by: string },
    why: string,
  ): Promise<unknown>;
}

/** A push is base64 in JSON. */
const pushBytes = Math.ceil(maxBundleBytes / 3) * 4 + 1024;

/** Serves what people say: who says it stands in the subject. */
export const servePeople = ({ bus, log }: ServingPeople) => {
  const answerPerson = createAnswerPerson(log, 'a person could not be answered');
  return <A, B>(contract: RequestContract<A, B>, answer: (by: string, body: Uint8Array) => Promise<unknown>): void =>
    bus.serveRaw(contract, (body, { subject }) => answerPerson(subject, (by) => answer(by, body)));
};

/** Engineers' messages to the domain and back, and what the replicas ask each other. */
export const serveRollouts = ({ bus, rollout, active, onRefused, log }: ServingRollouts): void => {
  const serve = servePeople({ bus, log });
  serve(operatorVerbs['policy-push'], (by, body) => {
    const { bundle } = parseField(policyPushAsk, parseStrict(body, { bytes: pushBytes }));
    return rollout.push(by, new Uint8Array(Buffer.from(bundle, 'base64')));
  });
  serve(operatorVerbs['policy-activate'], (by, body) =>
    rollout.activate(by, parseField(policyActivateAsk, parseStrict(body))),
  );
  serve(operatorVerbs['policy-rollback'], (by, body) =>
    rollout.rollback(by, parseField(policyRollbackAsk, parseStrict(body))),
  );
  serve(operatorVerbs['policy-bundle'], (_, body) => rollout.bundle(parseField(policyBundleAsk, parseStrict(body))));
  serve(operatorVerbs['policy-history'], (_, body) => {
    parseField(policyHistoryAsk, parseStrict(body));
    return rollout.history();
  });

  const { instance } = bus;
  const v = 1 as const;
  bus.serveBroadcast(policyPrepare, async ({ version, bundle, action, by }) => {
    try {
      await active.prepare({ version, ...(bundle !== undefined && { bundle }) });
      return { v, instance };
    } catch (error) {
      const problem = problemOf(error);
      log.error({ err: error, version, bundle }, 'a policy was refused');
      await onRefused({ version, bundle, action, by }, problem);
      return { v, instance, problem };
    }
  });
  bus.serveBroadcast(policySettle, async ({ epoch }) => {
    try {
      const settled = await active.settle();
      if (settled >= epoch) return { v, instance, epoch: settled };
      return { v, instance, epoch, problem: `it is at epoch ${settled}` };
    } catch (error) {
      return { v, instance, epoch, problem: problemOf(error) };
    }
  });
};

const problemOf = (error: unknown): string => {
  const { code, message } = toAgentGateError(error);
  return `${code}: ${message}`.slice(0, 2048);
};
