import {
  AgentGateError,
  type Code,
  name,
  personOf,
  type Refusal,
  statusOfRefusal,
  toAgentGateError,
} from '@agentgate/contracts';

/**
 * Answers a person's question: `handle` is given the name that NATS enforced in the subject, and one that is none is nobody's. What goes wrong
 * becomes a refusal; a failure of our own is logged as `failed`, and the person hears of it without its message. `observe` hears how each ended.
 */
export type AnswerPerson = <T>(subject: string, handle: (person: string) => T | Promise<T>) => Promise<T | Refusal>;

export const createAnswerPerson =
  (
    log: { error(fields: object, message: string): void },
    failed: string,
    observe: (code: Code) => void = () => {},
  ): AnswerPerson =>
  async (subject, handle) => {
    try {
      const person = name.safeParse(personOf(subject));
      if (!person.success) throw new AgentGateError('MALFORMED', 'subject: holds no name of a person');
      const answer = await handle(person.data);
      observe('OK');
      return answer;
    } catch (error) {
      const { code, message } = toAgentGateError(error);
      observe(code);
      if (code === 'INTERNAL') log.error({ err: error }, failed);
      return { v: 1, status: statusOfRefusal(code), code, reason: message.slice(0, 2048) };
    }
  };
