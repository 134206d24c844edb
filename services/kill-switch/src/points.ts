import type { ServiceName } from '@agentgate/contracts';

/** An enforcement point: a running instance of ingress or of the tool-runner. */
export interface Point {
  service: ServiceName;
  instance: string;
}

/** Both names, so that no point can pass for one of another service. */
export const pointKey = ({ service, instance }: Point): string => `${service}/${instance}`;

/** The points that are known to run, by what they say of themselves each second. */
export interface Points {
  alive(point: Point, state: 'up' | 'leaving'): void;
  known(): Point[];
  /** Whether an instance of this service left or fell silent lately: a call that it ran may be known to nobody any more. */
  lostLately(service: ServiceName): boolean;
}

/** Silent for longer: dead. It fenced itself long before: its own view of the orders went stale after 3 s, and stale counts as killed. */
export const deadAfterMs = 10_000;
/** As long as a call may run. */
const latelyMs = 600_000;
/** Far above any deployment; a broken sender cannot make the list grow without end. */
const pointsMax = 1_024;

export const createPoints = (monotonic: () => number): Points => {
  const points = new Map<string, Point & { seenAt: number }>();
  const lostAt = new Map<ServiceName, number>();

  const lose = (point: Point, at: number) => {
    if (points.delete(pointKey(point))) lostAt.set(point.service, at);
  };
  const sweep = () => {
    const now = monotonic();
    for (const point of points.values()) if (now - point.seenAt > deadAfterMs) lose(point, now);
  };

  return {
    alive: ({ service, instance }, state) => {
      const now = monotonic();
      const key = pointKey({ service, instance });
      if (state === 'leaving') return lose({ service, instance }, now);
      if (points.size >= pointsMax && !points.has(key)) sweep();
      if (points.size < pointsMax || points.has(key)) points.set(key, { service, instance, seenAt: now });
    },
    known: () => {
      sweep();
      return [...points.values()].map(({ service, instance }) => ({ service, instance }));
    },
    lostLately: (service) => {
      sweep();
      const at = lostAt.get(service);
      return at !== undefined && monotonic() - at < latelyMs;
    },
  };
};
