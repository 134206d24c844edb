import type { Bus } from '@agentgate/bus';
import { type ExecuteAnswer, pointContain, runnerCancel, runnerExecute } from '@agentgate/contracts';
import type { Runner } from './service.ts';

export interface HandlerParts {
  bus: Pick<Bus, 'instance' | 'serveLate' | 'serveBroadcast'>;
  runner: Runner;
  observe(answer: ExecuteAnswer): void;
}

/** Message ↔ domain. */
export const serveHandlers = ({ bus, runner, observe }: HandlerParts): void => {
  const { instance } = bus;
  bus.serveLate(runnerExecute, async (ask) => {
    const answer = await runner.execute(ask);
    observe(answer);
    return answer;
  });
  bus.serveBroadcast(runnerCancel, async ({ call, why }) => {
    const fate = await runner.cancel(call, why);
    return { v: 1 as const, instance, ...(fate === undefined ? {} : { fate }) };
  });
  bus.serveBroadcast(pointContain, async ({ epoch, scope }) => ({
    v: 1 as const,
    service: 'tool-runner' as const,
    instance,
    epoch,
    calls: await runner.contain(epoch, scope),
  }));
};
