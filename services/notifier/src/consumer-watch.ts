import type { Bus, Log } from '@agentgate/bus';
import { notifierConsumer } from '@agentgate/contracts';

/** Looks now and then whether the notifier still hears of what it has to tell: its silence would look like peace. */
export interface ConsumerWatch {
  /** What is wrong with the consumer, when it was last looked at. */
  problem(): string | undefined;
  look(): Promise<void>;
}

const textOf = (subjects: readonly string[]) => [...subjects].sort().join(' ');

export const createConsumerWatch = (bus: Pick<Bus, 'consumerSubjects'>, log: Log): ConsumerWatch => {
  const { stream, name, subjects } = notifierConsumer;
  const wanted = textOf(subjects);
  let problem: string | undefined;
  const told = async (): Promise<string | undefined> => {
    try {
      const heard = await bus.consumerSubjects(stream, name);
      return textOf(heard) === wanted
        ? undefined
        : `somebody changed what consumer ${name} hears of; the next start of the stack puts it right`;
    } catch (error) {
      return (error as Error).message;
    }
  };
  return {
    problem: () => problem,
    look: async () => {
      const before = problem;
      problem = await told();
      if (problem !== undefined && problem !== before) log.error({ stream, consumer: name }, problem);
    },
  };
};
