import { Gauge, type Registry } from 'prom-client';

/** A gauge that is read when it is asked for. */
export const createGauge = (registry: Registry, name: string, help: string, value: () => number): Gauge =>
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(value());
    },
  });
