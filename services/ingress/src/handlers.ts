import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  agentVerbs,
  brokerSubject,
  type CallReply,
  callAsk,
  cancelAsk,
  createParser,
  identityOf,
  ingressCancel,
  killedError,
  parseStrict,
  pointContain,
  policyOpenSession,
  policyVisible,
  sessionAsk,
  statusOfRefusal,
  toAgentGateError,
  toolsAsk,
} from '@agentgate/contracts';
import type { KillView } from '@agentgate/runtime';
import type { Logger } from 'pino';
import type { Identity, Ingress } from './service.ts';

export interface HandlerParts {
  bus: Bus;
  ingress: Ingress;
  killView: KillView;
  tenantOf: ReadonlyMap<string, string>;
  log: Pick<Logger, 'error'>;
  observe(reply: { status: string; code: string }, seconds: number): void;
}

/** Message ↔ domain; an error becomes a refusal here, once. */
export const serveHandlers = ({ bus, ingress, killView, tenantOf, log, observe }: HandlerParts): void => {
  const identify = (subject: string): Identity => {
    const { account, agent } = identityOf(subject);
    const tenant = tenantOf.get(account);
    if (tenant === undefined) throw new AgentGateError('POLICY_DENIED', 'this account is no tenant of the deployment');
    return { tenant, agent };
  };
  const refusal = (error: unknown) => {
    const known = toAgentGateError(error);
    if (known.code === 'INTERNAL') log.error({ err: error }, 'a request could not be handled');
    return {
      v: 1 as const,
      status: statusOfRefusal(known.code),
      code: known.code,
      reason: known.message.slice(0, 2048),
    };
  };
  /** Opening a session or listing tools runs nothing, but what is killed gets no further all the same. */
  const refuseKilled = (who: Identity, session = '') => {
    const { killed } = killView.check({ ...who, session, tool: '' });
    if (killed) throw killedError(killed);
  };
  const take = <T>(read: (value: unknown) => T, body: Uint8Array, subject: string): { who: Identity; ask: T } => ({
    who: identify(subject),
    ask: read(parseStrict(body)),
  });
  const readSession = createParser(sessionAsk);
  const readTools = createParser(toolsAsk);
  const readCall = createParser(callAsk);
  const readCancel = createParser(cancelAsk);

  bus.serveRaw(agentVerbs.session, async (body, { subject }) => {
    try {
      const { who, ask } = take(readSession, body, subject);
      refuseKilled(who);
      const { subject_token, ...rest } = ask;
      // Verified before anything is opened; the token itself goes no further than to the broker.
      const person =
        subject_token === undefined ? undefined : await bus.ask(brokerSubject, { v: 1, ...who, subject_token });
      const acts = person && { subject: { id: person.id, person: person.person, issuer: person.issuer } };
      return await bus.ask(policyOpenSession, { ...rest, ...who, ...acts });
    } catch (error) {
      return refusal(error);
    }
  });
  bus.serveRaw(agentVerbs.tools, async (body, { subject }) => {
    try {
      const { who, ask } = take(readTools, body, subject);
      refuseKilled(who, ask.session);
      return await bus.ask(policyVisible, { ...ask, ...who });
    } catch (error) {
      return refusal(error);
    }
  });
  // A call may take long: its message, as it came, is not kept until it ends.
  bus.serveRaw(agentVerbs.call, (body, { subject }) => {
    const started = performance.now();
    const observed = (reply: CallReply): CallReply => {
      observe(reply, (performance.now() - started) / 1000);
      return reply;
    };
    try {
      const { who, ask } = take(readCall, body, subject);
      return ingress.call(who, ask, body.byteLength).then(observed);
    } catch (error) {
      return Promise.resolve(observed(refusal(error)));
    }
  });
  bus.serveRaw(agentVerbs.cancel, async (body, { subject }) => {
    try {
      const { who, ask } = take(readCancel, body, subject);
      return { v: 1, status: await ingress.cancel(who, ask) };
    } catch (error) {
      return refusal(error);
    }
  });
  bus.serveBroadcast(ingressCancel, async ({ tenant, agent, call, key }) => ({
    v: 1 as const,
    instance: bus.instance,
    status: await ingress.cancelHere({ tenant, agent }, { call, key }),
  }));
  killView.onHold(ingress.hold);
  bus.serveBroadcast(pointContain, async ({ epoch, scope }) => {
    killView.apply(scope, epoch);
    return { v: 1 as const, service: 'ingress' as const, instance: bus.instance, epoch, calls: ingress.contain(scope) };
  });
};
