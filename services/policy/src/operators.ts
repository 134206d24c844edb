import {
  operatorVerbs,
  parseField,
  parseStrict,
  policyDiffAsk,
  policyExceptAsk,
  policyExceptEndAsk,
  policyExceptionsAsk,
  policyShadowAsk,
  policyShadowTold,
} from '@agentgate/contracts';
import { type ServingPeople, servePeople } from './engineers.ts';
import type { Exceptions } from './exceptions.ts';
import type { Shadow } from './shadow.ts';
import type { Trials } from './trials.ts';

export interface ServingTrials extends ServingPeople {
  exceptions: Exceptions;
  trials: Trials;
  shadow: Pick<Shadow, 'told'>;
}

/** What people say of exceptions and of the shadow, and what the replicas ask each other about it. */
export const serveTrials = ({ bus, log, exceptions, trials, shadow }: ServingTrials): void => {
  const serve = servePeople({ bus, log });
  const v = 1 as const;
  serve(operatorVerbs['policy-except'], async (by, body) => {
    const exception = await exceptions.add(by, parseField(policyExceptAsk, parseStrict(body)));
    return exception ? { v, status: 'added', exception } : { v, status: 'pending_second' };
  });
  serve(operatorVerbs['policy-except-end'], async (by, body) => ({
    v,
    status: await exceptions.end(by, parseField(policyExceptEndAsk, parseStrict(body))),
  }));
  serve(operatorVerbs['policy-exceptions'], async (_, body) => {
    parseField(policyExceptionsAsk, parseStrict(body));
    return { v, exceptions: await exceptions.list() };
  });
  serve(operatorVerbs['policy-shadow'], (by, body) =>
    trials.shadow(by, parseField(policyShadowAsk, parseStrict(body))),
  );
  serve(operatorVerbs['policy-diff'], (_, body) =>
    trials.diff(parseField(policyDiffAsk, parseStrict(body)).after ?? {}),
  );
  const { instance } = bus;
  bus.serveBroadcast(policyShadowTold, async ({ after }) => ({
    v,
    instance,
    ...shadow.told(Object.hasOwn(after, instance) ? (after[instance] ?? 0) : 0),
  }));
};
