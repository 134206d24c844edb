import type { Progress } from '@agentgate/evidence';
import type { CliContext } from '../context.ts';

const WIDTH = 30;
const everyMs = 100;

/** A bar for eyes only, beside the answer: nothing in a pipe or for programs. */
export const createProgress = ({ isTerminal, json, paint }: Pick<CliContext, 'isTerminal' | 'json' | 'paint'>) => {
  const isShown = isTerminal && !json && process.stderr.isTTY;
  const began = performance.now();
  let shownAt = 0;
  return {
    show: ({ entries, size }: Progress): void => {
      const now = performance.now();
      if (!isShown || now - shownAt < everyMs) return;
      shownAt = now;
      process.stderr.write(`\r${barOf({ entries, size, ms: now - began, paint })}\x1b[K`);
    },
    end: (): void => {
      if (shownAt > 0) process.stderr.write('\r\x1b[K');
    },
  };
};

interface Bar extends Progress {
  ms: number;
  paint: Pick<CliContext['paint'], 'dim' | 'green'>;
}

export const barOf = ({ entries, size, ms, paint }: Bar): string => {
  const share = size === 0 ? 1 : entries / size;
  const full = Math.round(share * WIDTH);
  const bar = `${paint.green('█'.repeat(full))}${paint.dim('░'.repeat(WIDTH - full))}`;
  const left = share > 0 ? Math.ceil((ms / share - ms) / 1_000) : 0;
  return `${bar} ${Math.floor(share * 100)} %  ${entries.toLocaleString('en')} of ${size.toLocaleString('en')}, ${left} s left`;
};
