import { Counter, type Registry } from 'prom-client';

export interface CounterOptions {
  name: string;
  help: string;
  labelNames: readonly string[];
}

/**
 * A counter that is told when it is asked for. The values of the labels come in the order of their names. For what is counted with each call: the
 * library itself sorts the names and makes a text of names and values at each count.
 */
export const createCounter = (
  registry: Registry,
  { name, help, labelNames }: CounterOptions,
): ((...values: string[]) => void) => {
  const counts = new Map<string, { values: string[]; count: number }>();
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const { values, count } of counts.values())
        this.inc(Object.fromEntries(labelNames.map((label, i) => [label, values[i] ?? ''])), count);
    },
  });
  return (...values) => {
    const key = values.join('\0');
    const known = counts.get(key);
    if (known) known.count++;
    else counts.set(key, { values, count: 1 });
  };
};
