import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  type Code,
  policyDecide,
  policyHold,
  policyOpenSession,
  policyVisible,
} from '@agentgate/contracts';
import type { Policy } from './service.ts';

export interface Serving {
  bus: Pick<Bus, 'serve' | 'serveBatch'>;
  policy: Policy;
  observe(told: { decisions: readonly Code[]; ms: number }): void;
}

/** Messages to the domain and back. Who asks was read by ingress from the subject; it alone may publish on these. */
export const servePolicy = ({ bus, policy, observe }: Serving): void => {
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
};
