import type { Bus } from '@agentgate/bus';
import {
  approvalRedeem,
  approvalRequest,
  approvalsAsk,
  approveAsk,
  describeScope,
  operatorVerbs,
  parseField,
  parseStrict,
  pointContain,
} from '@agentgate/contracts';
import { createAnswerPerson, type KillView } from '@agentgate/runtime';
import type { Approvals } from './service.ts';

export interface Serving {
  bus: Pick<Bus, 'serve' | 'serveRaw' | 'serveBroadcast' | 'instance'>;
  approvals: Approvals;
  kills: Pick<KillView, 'apply'>;
  log: { error(fields: object, message: string): void };
}

/** Messages to the domain and back. Policy alone may ask and redeem; a person's name is the one that NATS enforced. */
export const serveApprovals = ({ bus, approvals, kills, log }: Serving): void => {
  bus.serve(approvalRequest, async ({ question }) => ({ v: 1, ...(await approvals.request(question)) }));
  bus.serve(approvalRedeem, async (ask) => ({ v: 1, ...(await approvals.redeem(ask)) }));
  bus.serveBroadcast(pointContain, async ({ epoch, scope }) => {
    // First of all: what is asked from now on is refused, whatever becomes of the rest.
    kills.apply(scope, epoch);
    const voided = await approvals.voidScope({ epoch, scope, why: `${describeScope(scope)} was killed` });
    return { v: 1 as const, service: 'approvals' as const, instance: bus.instance, epoch, calls: [], voided };
  });
  const answer = createAnswerPerson(log, 'an approval could not be handled');
  bus.serveRaw(operatorVerbs.approvals, (body, { subject }) =>
    answer(subject, () => {
      const { tenant } = parseField(approvalsAsk, parseStrict(body));
      return { v: 1 as const, ...approvals.list(tenant) };
    }),
  );
  bus.serveRaw(operatorVerbs.approve, (body, { subject }) =>
    answer(subject, (by) => approvals.decide(by, 'granted', parseField(approveAsk, parseStrict(body)))),
  );
  bus.serveRaw(operatorVerbs.reject, (body, { subject }) =>
    answer(subject, (by) => approvals.decide(by, 'rejected', parseField(approveAsk, parseStrict(body)))),
  );
};
