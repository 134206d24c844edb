import type { Bus } from '@agentgate/bus';
import {
  operatorVerbs,
  parseField,
  parseStrict,
  toolAsk,
  toolsAskOfOperator,
  toolVerdictAsk,
} from '@agentgate/contracts';
import { createAnswerPerson } from '@agentgate/runtime';
import type { Verdicts } from './pins/verdicts.ts';

export interface OperatorParts {
  bus: Pick<Bus, 'serveRaw'>;
  verdicts: Verdicts;
  log: { error(fields: object, message: string): void };
}

/** What operators say of tools. NATS enforces the person's name in the subject; one that is none is nobody's. */
export const serveVerdicts = ({ bus, verdicts, log }: OperatorParts): void => {
  const answer = createAnswerPerson(log, 'an operator could not be answered');
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
