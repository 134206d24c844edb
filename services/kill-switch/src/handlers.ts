import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus, Log } from '@agentgate/bus';
import {
  AgentGateError,
  type ContainmentPoint,
  killAsk,
  killCheck,
  killOrder,
  killsAsk,
  liftAsk,
  operatorVerbs,
  parseField,
  parseStrict,
  pointAlive,
  progressNotes,
  type Refusal,
  releaseAsk,
} from '@agentgate/contracts';
import { createAnswerPerson } from '@agentgate/runtime';
import type { createCheck } from './check.ts';
import type { Points } from './points.ts';
import type { KillSwitch } from './service.ts';

/** More orders than this at once are not people's. */
const ordersInFlightMax = 1_024;
const idlePollMs = 20;

export interface Handlers {
  bus: Pick<Bus, 'serve' | 'serveRaw' | 'serveBatch' | 'hear'>;
  killSwitch: KillSwitch;
  check: ReturnType<typeof createCheck>;
  log: Log;
}

export const hearPoints = (bus: Pick<Bus, 'hear'>, points: Points): void => {
  bus.hear(pointAlive, ({ service, instance, state }) => points.alive({ service, instance }, state));
};

/** `idle` resolves once no order is being handled, or after `waitMs`. */
export const serveAll = ({ bus, killSwitch, check, log }: Handlers): { idle(waitMs: number): Promise<void> } => {
  let inFlight = 0;
  const counted = async <T>(handle: () => Promise<T>): Promise<T> => {
    if (inFlight >= ordersInFlightMax) throw new AgentGateError('OVERLOADED', 'too many orders at once');
    inFlight++;
    try {
      return await handle();
    } finally {
      inFlight--;
    }
  };
  const answerPerson = createAnswerPerson(log, 'an order could not be handled');
  const answer = <T>(subject: string, handle: (person: string) => Promise<T>): Promise<T | Refusal> =>
    answerPerson(subject, (by) => counted(() => handle(by)));
  bus.serveRaw(operatorVerbs.kill, (body, { subject, tell }) =>
    answer(subject, async (by) => {
      let left = progressNotes;
      const onPoint = tell && ((point: ContainmentPoint) => left-- > 0 && tell(point));
      return killSwitch.kill(by, parseField(killAsk, parseStrict(body)), onPoint);
    }),
  );
  bus.serveRaw(operatorVerbs.lift, (body, { subject }) =>
    answer(subject, async (by) => killSwitch.lift(by, parseField(liftAsk, parseStrict(body)))),
  );
  bus.serveRaw(operatorVerbs.release, (body, { subject }) =>
    answer(subject, async (by) => killSwitch.release(by, parseField(releaseAsk, parseStrict(body)))),
  );
  // Only the sentinel may say this; whatever the message claims, the order is in its name.
  bus.serve(killOrder, ({ v: _, ...ask }) =>
    counted(async () => ({ v: 1 as const, ...(await killSwitch.order('sentinel', ask)) })),
  );
  bus.serveRaw(operatorVerbs.kills, (body, { subject }) =>
    answer(subject, async () => {
      parseField(killsAsk, parseStrict(body));
      return killSwitch.list();
    }),
  );
  bus.serveBatch(killCheck, check);
  return {
    idle: async (waitMs) => {
      for (let waited = 0; inFlight > 0 && waited < waitMs; waited += idlePollMs) await sleep(idlePollMs);
    },
  };
};
