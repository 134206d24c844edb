import { type ContainmentPoint, type Fate, pointContain, type Scope, type ServiceName } from '@agentgate/contracts';
import { byName, mergeFates, mergeLeases, type PointAnswer } from './fates.ts';
import { type Point, type Points, pointKey } from './points.ts';

/** Asks every enforcement point, as `bus.broadcast` does with `pointContain`: those that answered until `enough` or the deadline. */
export type AskPoints = (
  ask: { v: 1; epoch: number; scope: Scope },
  gather: { enough(answers: PointAnswer[]): boolean; onAnswer(answer: PointAnswer): void; timeoutMs: number },
) => Promise<unknown>;

export interface Containment {
  /** Every known point confirmed, at least one of each kind. */
  contained: boolean;
  points: ContainmentPoint[];
  calls: { call: string; fate: Fate }[];
  /** Approvals that can be used no more. */
  voided: number;
  /** `irrevocable`: not ended, or nothing can prove that they are; the first hundred. */
  leases: { revoked: number; irrevocable: string[] };
}

/** Where calls run: without one of each nobody can say what became of them. Approvals and leases are waited for where their services are known. */
const kinds: readonly ServiceName[] = ['ingress', 'tool-runner'];

export interface ContainDeps {
  ask: AskPoints;
  points: Points;
  timeoutMs?: number;
  onPoint?: OnPoint;
}
export type OnPoint = (point: ContainmentPoint) => void;

/** Has the order enforced everywhere and tells who confirmed. `elapsed` gives the milliseconds since the order came in. */
export const contain = async (
  { ask, points, timeoutMs = pointContain.timeoutMs, onPoint }: ContainDeps,
  epoch: number,
  scope: Scope,
  elapsed: () => number,
): Promise<Containment> => {
  const expected = new Map<string, Point>();
  const expect = (all: readonly Point[]) => {
    for (const point of all) expected.set(pointKey(point), point);
  };
  const confirmed = new Map<string, { answer: PointAnswer; ms: number }>();
  /** A point that says an older epoch did not take this order. */
  const take = (answer: PointAnswer) => {
    if (answer.epoch < epoch || confirmed.has(pointKey(answer))) return;
    const ms = round(elapsed());
    confirmed.set(pointKey(answer), { answer, ms });
    onPoint?.({ service: answer.service, instance: answer.instance, confirmed_in_ms: ms });
  };
  const silent = () => [...expected].flatMap(([key, point]) => (confirmed.has(key) ? [] : [point]));
  const everyKind = () => kinds.every((kind) => [...confirmed.values()].some(({ answer }) => answer.service === kind));

  expect(points.known());
  await ask(
    { v: 1, epoch, scope },
    {
      timeoutMs,
      onAnswer: take,
      enough: (answers) => {
        for (const answer of answers) take(answer);
        // A point that came up meanwhile may have missed the question.
        expect(points.known());
        return silent().length === 0 && everyKind();
      },
    },
  );
  expect(points.known());
  expect([...confirmed.values()].map(({ answer }) => answer));
  const runnersAllKnown =
    !points.lostLately('tool-runner') && everyKind() && silent().every(({ service }) => service !== 'tool-runner');
  const leases = mergeLeases([...confirmed.values()].map(({ answer }) => answer));
  return {
    contained: silent().length === 0 && everyKind() && leases.irrevocable.length === 0,
    points: [...expected].sort(byName).map(([key, { service, instance }]) => ({
      service,
      instance,
      confirmed_in_ms: confirmed.get(key)?.ms ?? null,
    })),
    calls: mergeFates(
      [...confirmed.values()].map(({ answer }) => answer),
      runnersAllKnown,
    ),
    leases,
    voided: [...confirmed.values()].reduce((sum, { answer }) => sum + (answer.voided ?? 0), 0),
  };
};

/** A tenth of a millisecond is as much as the clock is good for. */
export const round = (ms: number): number => Math.round(ms * 10) / 10;
