import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  name,
  operatorVerbs,
  parseField,
  parseStrict,
  personOf,
  type Refusal,
  statusOfRefusal,
  toAgentGateError,
  toolAsk,
  toolsAskOfOperator,
  toolVerdictAsk,
} from '@agentgate/contracts';
import type { Verdicts } from './pins/verdicts.ts';

export interface OperatorParts {
  bus: Pick<Bus, 'serveRaw'>;
  verdicts: Verdicts;
  log: { error(fields: object, message: string): void };
}

/** What operators say of tools. NATS enforces the person's name in the subject; one that is none is nobody's. */
export const serveVerdicts = ({ bus, verdicts, log }: OperatorParts): void => {
  const answer = async <T>(subject: string, handle: (person: string) => T | Promise<T>): Promise<T | Refusal> => {
    try {
      const person = name.safeParse(personOf(subject));
      if (!person.success) throw new AgentGateError('MALFORMED', 'subject: holds no name of a person');
      return await handle(person.data);
    } catch (error) {
      const { code, message } = toAgentGateError(error);
      if (code === 'INTERNAL') log.error({ err: error }, 'an operator could not be answered');
      return { v: 1, status: statusOfRefusal(code), code, reason: message.slice(0, 2048) };
    }
  };
  bus.serveRaw(operatorVerbs.tools, (body, { subject }) =>
    answer(subject, () => {
      parseField(toolsAskOfOperator, parseStrict(body));
      return verdicts.list();
    }),
  );
  bus.serveRaw(operatorVerbs.tool, (body, { subject }) =>
    answer(subject, () => verdicts.show(parseField(toolAsk, parseStrict(body)).tool)),
  );
  for (const [verb, verdict] of [
    ['tool-accept', 'accepted'],
    ['tool-reject', 'rejected'],
  ] as const)
    bus.serveRaw(operatorVerbs[verb], (body, { subject }) =>
      answer(subject, (by) => verdicts.decide(by, verdict, parseField(toolVerdictAsk, parseStrict(body)))),
    );
};
