import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  incidentsAsk,
  name,
  noteAsk,
  operatorVerbs,
  parseField,
  parseStrict,
  personOf,
  type Refusal,
  statusOfRefusal,
  toAgentGateError,
} from '@agentgate/contracts';
import type { Incidents } from './incidents.ts';

export interface Serving {
  bus: Pick<Bus, 'serveRaw'>;
  incidents: Pick<Incidents, 'list' | 'note'>;
  log: { error(fields: object, message: string): void };
}

/** What operators ask of incidents. To release one is not served here: the sentinel may not lift. */
export const serveIncidents = ({ bus, incidents, log }: Serving): void => {
  const answer = async <T>(subject: string, handle: (person: string) => T | Promise<T>): Promise<T | Refusal> => {
    try {
      const by = name.safeParse(personOf(subject));
      if (!by.success) throw new AgentGateError('MALFORMED', 'subject: holds no name of a person');
      return await handle(by.data);
    } catch (error) {
      const { code, message } = toAgentGateError(error);
      if (code === 'INTERNAL') log.error({ err: error }, 'a question about incidents could not be answered');
      return { v: 1, status: statusOfRefusal(code), code, reason: message.slice(0, 2048) };
    }
  };
  bus.serveRaw(operatorVerbs.incidents, (body, { subject }) =>
    answer(subject, () => incidents.list(parseField(incidentsAsk, parseStrict(body)))),
  );
  bus.serveRaw(operatorVerbs.note, (body, { subject }) =>
    answer(subject, (by) => incidents.note(by, parseField(noteAsk, parseStrict(body)))),
  );
};
