import type { Bus } from '@agentgate/bus';
import { AgentGateError, brokerLease, brokerRelease, type Code, toAgentGateError } from '@agentgate/contracts';
import type { Broker } from './service.ts';

/** Asks that may be worked on at once; beyond it the runner is told so instead of waiting out its deadline. */
const maxInFlight = 1_024;

type Verb = 'lease' | 'release';

interface HandlerPorts {
  bus: Pick<Bus, 'serveBatch'>;
  broker: Pick<Broker, 'lease' | 'release'>;
  log: { error(fields: object, message: string): void };
  /** Hears how each ask ended. */
  observe: (verb: Verb, code: Code) => void;
}

export const serveBroker = ({ bus, broker, log, observe }: HandlerPorts): void => {
  let inFlight = 0;
  const answer = async <A, B>(work: (ask: A) => Promise<B>, ask: A): Promise<B | AgentGateError> => {
    if (inFlight >= maxInFlight)
      return new AgentGateError('OVERLOADED', `the credential-broker works on ${maxInFlight} asks already`);
    inFlight++;
    try {
      return await work(ask);
    } catch (error) {
      if (!(error instanceof AgentGateError)) log.error({ err: error }, 'a lease failed for a reason of our own');
      return toAgentGateError(error);
    } finally {
      inFlight--;
    }
  };
  /** One ask's failure is its own: the others of its message are answered. */
  const each =
    <A, B>(verb: Verb, work: (ask: A) => Promise<B>) =>
    (asks: A[]): Promise<(B | AgentGateError)[]> =>
      Promise.all(
        asks.map(async (ask) => {
          const answered = await answer(work, ask);
          observe(verb, answered instanceof AgentGateError ? answered.code : 'OK');
          return answered;
        }),
      );
  bus.serveBatch(brokerLease, each('lease', broker.lease));
  bus.serveBatch(brokerRelease, each('release', broker.release));
};
