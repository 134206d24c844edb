import type { Bus } from '@agentgate/bus';
import { incidentsAsk, noteAsk, operatorVerbs, parseField, parseStrict } from '@agentgate/contracts';
import { createAnswerPerson } from '@agentgate/runtime';
import type { Incidents } from './incidents.ts';

export interface Serving {
  bus: Pick<Bus, 'serveRaw'>;
  incidents: Pick<Incidents, 'list' | 'note'>;
  log: { error(fields: object, message: string): void };
}

/** What operators ask of incidents. To release one is not served here: the sentinel may not lift. */
export const serveIncidents = ({ bus, incidents, log }: Serving): void => {
  const answer = createAnswerPerson(log, 'a question about incidents could not be answered');
  bus.serveRaw(operatorVerbs.incidents, (body, { subject }) =>
    answer(subject, () => incidents.list(parseField(incidentsAsk, parseStrict(body)))),
  );
  bus.serveRaw(operatorVerbs.note, (body, { subject }) =>
    answer(subject, (by) => incidents.note(by, parseField(noteAsk, parseStrict(body)))),
  );
};
