import type { Bus } from '@agentgate/bus';
import { pointAlive } from '@agentgate/contracts';
import type { KillView } from './kill-view.ts';

const aliveMs = 1_000;

/**
 * Tells the kill-switch each second that this enforcement point runs, so that receipts wait for it. `leave` says once that it is gone;
 * call it when no call runs here any more.
 */
export const announcePoint = ({
  bus,
  service,
  killView,
}: {
  bus: Pick<Bus, 'notify' | 'instance'>;
  service: 'ingress' | 'tool-runner' | 'approvals' | 'credential-broker';
  killView: Pick<KillView, 'epoch'>;
}): { leave(): void } => {
  const tell = (state: 'up' | 'leaving') =>
    bus.notify(pointAlive, { v: 1, service, instance: bus.instance, epoch: killView.epoch(), state });
  tell('up');
  const timer = setInterval(() => tell('up'), aliveMs);
  return {
    leave: () => {
      clearInterval(timer);
      tell('leaving');
    },
  };
};
