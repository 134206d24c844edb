import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  disclosuresAsk,
  eraseAsk,
  holdAsk,
  holdsAsk,
  name,
  operatorVerbs,
  parseField,
  parseStrict,
  personOf,
  releaseHoldAsk,
  statusOfRefusal,
  toAgentGateError,
} from '@agentgate/contracts';
import type { z } from 'zod';
import type { Erasure } from './erasure.ts';

interface Serving {
  bus: Pick<Bus, 'serveRaw'>;
  erasure: Erasure;
  log: { error(fields: object, message: string): void };
}

/** People's messages to the domain and back. NATS lets operators erase, and auditors hold, release and read. */
export const serveErasure = ({ bus, erasure, log }: Serving): void => {
  const answer = async <A, B>(
    body: Uint8Array,
    subject: string,
    { ask, work }: { ask: z.ZodType<A>; work: (by: string, asked: A) => Promise<B> | B },
  ) => {
    try {
      const by = name.safeParse(personOf(subject));
      if (!by.success) throw new AgentGateError('MALFORMED', 'subject: holds no name of a person');
      return await work(by.data, parseField(ask, parseStrict(body)));
    } catch (error) {
      const { code, message } = toAgentGateError(error);
      if (code === 'INTERNAL') log.error({ err: error, subject }, 'a request about disclosures failed');
      return { v: 1 as const, status: statusOfRefusal(code), code, reason: message.slice(0, 2048) };
    }
  };
  bus.serveRaw(operatorVerbs.disclosures, (body, { subject }) =>
    answer(body, subject, { ask: disclosuresAsk, work: (by, { event }) => erasure.disclose(by, event) }),
  );
  bus.serveRaw(operatorVerbs.erase, (body, { subject }) =>
    answer(body, subject, { ask: eraseAsk, work: (by, { scope, reason }) => erasure.erase(by, scope, reason) }),
  );
  bus.serveRaw(operatorVerbs.hold, (body, { subject }) =>
    answer(body, subject, { ask: holdAsk, work: (by, { scope, reason }) => erasure.hold(by, scope, reason) }),
  );
  bus.serveRaw(operatorVerbs['release-hold'], (body, { subject }) =>
    answer(body, subject, { ask: releaseHoldAsk, work: (by, { hold, reason }) => erasure.release(by, hold, reason) }),
  );
  bus.serveRaw(operatorVerbs.holds, (body, { subject }) =>
    answer(body, subject, { ask: holdsAsk, work: () => ({ v: 1 as const, holds: erasure.holds() }) }),
  );
};
