import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  approvalRedeem,
  approvalRequest,
  approvalsAsk,
  approveAsk,
  describeScope,
  name,
  operatorVerbs,
  parseField,
  parseStrict,
  personOf,
  pointContain,
  type Refusal,
  statusOfRefusal,
  toAgentGateError,
} from '@agentgate/contracts';
import type { KillView } from '@agentgate/runtime';
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
  const answer = async <T>(subject: string, handle: (person: string) => T | Promise<T>): Promise<T | Refusal> => {
    try {
      const by = name.safeParse(personOf(subject));
      if (!by.success) throw new AgentGateError('MALFORMED', 'subject: holds no name of a person');
      return await handle(by.data);
    } catch (error) {
      const { code, message } = toAgentGateError(error);
      if (code === 'INTERNAL') log.error({ err: error }, 'an approval could not be handled');
      return { v: 1, status: statusOfRefusal(code), code, reason: message.slice(0, 2048) };
    }
  };
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
