import { setImmediate } from 'node:timers/promises';
import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  type Code,
  clearTaintAsk,
  operatorVerbs,
  parseField,
  parseStrict,
  policyDecide,
  policyHold,
  policyObserve,
  policyOpenSession,
  policyPermitListing,
  policyVisible,
  sessionOwnerAsk,
  toAgentGateError,
} from '@agentgate/contracts';
import { createAnswerPerson } from '@agentgate/runtime';
import type { Policy } from './service.ts';

export interface Serving {
  bus: Pick<Bus, 'serve' | 'serveBatch' | 'serveRaw'>;
  policy: Policy;
  log: { error(fields: object, message: string): void };
  observe(told: { decisions: readonly Code[]; ms: number }): void;
}

/** Messages to the domain and back. Who asks was read by ingress from the subject; it alone may publish on these. */
export const servePolicy = ({ bus, policy, log, observe }: Serving): void => {
  bus.serveBatch(policyDecide, async (asks) => {
    const begun = performance.now();
    const answers = await policy.decide(asks);
    const decisions = answers.map((answer) => (answer instanceof AgentGateError ? answer.code : answer.decision.code));
    observe({ decisions, ms: performance.now() - begun });
    return answers;
  });
  bus.serve(policyOpenSession, async (ask) => ({ v: 1, ...(await policy.openSession(ask)) }));
  bus.serve(policyVisible, async (ask) => ({ v: 1, tools: await policy.visible(ask) }));
  bus.serve(policyHold, async (ask) => {
    await policy.hold(ask);
    return { v: 1 };
  });
  bus.serve(policyPermitListing, async ({ server }) => ({ v: 1, permit: await policy.permitListing(server) }));
  bus.serveBatch(policyObserve, async (asks) => {
    const answers: ({ v: 1 } | AgentGateError)[] = [];
    for (const ask of asks) {
      // A large result is read for some milliseconds: decisions get their turn in between.
      await setImmediate();
      answers.push(
        await policy.observe(ask).then(
          () => ({ v: 1 as const }),
          (error: unknown) => toAgentGateError(error),
        ),
      );
    }
    return answers;
  });
  const answer = createAnswerPerson(log, "an operator's question could not be answered");
  bus.serveRaw(operatorVerbs['clear-taint'], (body, { subject }) =>
    answer(subject, async (by) => policy.clearTaint(by, parseField(clearTaintAsk, parseStrict(body)))),
  );
  bus.serveRaw(operatorVerbs.session, (body, { subject }) =>
    answer(subject, async () => policy.whoseSession(parseField(sessionOwnerAsk, parseStrict(body)).session)),
  );
};
