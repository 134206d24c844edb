import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  brokerLease,
  brokerLeaseListing,
  brokerRelease,
  brokerSubject,
  type Code,
  leasesAsk,
  operatorVerbs,
  parseField,
  parseStrict,
  pointContain,
  resolveLeaseAsk,
  revokeLeasesAsk,
  testCredentialAsk,
  toAgentGateError,
} from '@agentgate/contracts';
import { createAnswerPerson } from '@agentgate/runtime';
import type { z } from 'zod';
import type { BrokerOperators } from './operators.ts';
import type { Broker } from './service.ts';
import type { Subjects } from './subjects.ts';

/** Asks that may be worked on at once; beyond it the runner is told so instead of waiting out its deadline. */
const maxInFlight = 1_024;

export type Verb = 'lease' | 'lease-listing' | 'release' | 'subject' | BrokerVerb;
type BrokerVerb = 'leases' | 'revoke-leases' | 'resolve-lease' | 'test-credential';

interface HandlerPorts {
  bus: Pick<Bus, 'instance' | 'serveBatch' | 'serveBroadcast' | 'serve' | 'serveRaw'>;
  broker: Pick<Broker, 'lease' | 'leaseListing' | 'release' | 'contain'>;
  subjects: Pick<Subjects, 'accept'>;
  operators: BrokerOperators;
  log: { error(fields: object, message: string): void };
  /** Hears how each ask ended. */
  observe: (verb: Verb, code: Code) => void;
}

export const serveBroker = ({ bus, broker, subjects, operators, log, observe }: HandlerPorts): void => {
  let inFlight = 0;
  const bounded = async <T>(work: () => Promise<T>): Promise<T> => {
    if (inFlight >= maxInFlight)
      throw new AgentGateError('OVERLOADED', `the credential-broker works on ${maxInFlight} asks already`);
    inFlight++;
    try {
      return await work();
    } finally {
      inFlight--;
    }
  };
  const answer = async <T>(verb: Verb, work: () => Promise<T>): Promise<T | AgentGateError> => {
    try {
      const answered = await bounded(work);
      observe(verb, 'OK');
      return answered;
    } catch (error) {
      if (!(error instanceof AgentGateError)) log.error({ err: error }, 'a lease failed for a reason of our own');
      const told = toAgentGateError(error);
      observe(verb, told.code);
      return told;
    }
  };
  /** One ask's failure is its own: the others of its message are answered. */
  const each =
    <A, B>(verb: Verb, work: (ask: A) => Promise<B>) =>
    (asks: A[]): Promise<(B | AgentGateError)[]> =>
      Promise.all(asks.map((ask) => answer(verb, () => work(ask))));
  bus.serveBatch(brokerLease, each('lease', broker.lease));
  bus.serveBatch(brokerRelease, each('release', broker.release));
  bus.serve(brokerLeaseListing, async (ask) => {
    const answered = await answer('lease-listing', () => broker.leaseListing(ask));
    if (answered instanceof AgentGateError) throw answered;
    return { v: 1 as const, lease: answered };
  });
  bus.serveBroadcast(pointContain, async ({ epoch, scope }) => {
    const leases = await broker.contain(epoch, scope);
    return { v: 1 as const, service: 'credential-broker' as const, instance: bus.instance, epoch, calls: [], leases };
  });
  bus.serve(brokerSubject, async (ask) => {
    const answered = await answer('subject', () => subjects.accept(ask));
    if (answered instanceof AgentGateError) throw answered;
    const { id, person, issuer, expiresAt } = answered;
    return { v: 1 as const, id, person, issuer, expires_at: new Date(expiresAt).toISOString() };
  });

  const operated = <A, B>(verb: BrokerVerb, schema: z.ZodType<A>, work: (by: string, ask: A) => Promise<B>) => {
    const answerPerson = createAnswerPerson(log, 'an operator could not be answered', (code) => observe(verb, code));
    return (body: Uint8Array, { subject }: { subject: string }) =>
      answerPerson(subject, (by) => bounded(async () => work(by, parseField(schema, parseStrict(body)))));
  };
  const v = 1 as const;
  bus.serveRaw(
    operatorVerbs.leases,
    operated('leases', leasesAsk, async (_, { prefix }) => ({ v, ...operators.leases(prefix) })),
  );
  bus.serveRaw(
    operatorVerbs['revoke-leases'],
    operated('revoke-leases', revokeLeasesAsk, async (by, ask) => ({ v, ...(await operators.revoke(by, ask)) })),
  );
  bus.serveRaw(
    operatorVerbs['resolve-lease'],
    operated('resolve-lease', resolveLeaseAsk, async (by, ask) => ({ v, status: await operators.resolve(by, ask) })),
  );
  bus.serveRaw(
    operatorVerbs['test-credential'],
    operated('test-credential', testCredentialAsk, async (by, { credential }) => ({
      v,
      ...(await operators.test(by, credential)),
    })),
  );
};
