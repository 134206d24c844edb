import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Children {
  /** Starts Node on a file and resolves with its first line of output. */
  start(file: string, args: string[]): Promise<{ line: string }>;
  stop(): Promise<void>;
}

const ended = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;
const stopMs = 15_000;

/** The benchmark's own processes; each is ended by its process id. */
export const createChildren = (): Children => {
  const all: ChildProcess[] = [];
  return {
    start: (file, args) =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [file, ...args], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        all.push(child);
        child.once('exit', (code, signal) =>
          reject(new Error(`${file} ended with ${code ?? signal} before it said anything`)),
        );
        createInterface({ input: child.stdout }).once('line', (line) => {
          child.stdout?.resume();
          resolve({ line });
        });
      }),
    stop: async () => {
      for (const child of all.reverse()) {
        if (ended(child)) continue;
        const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
        await gone;
        clearTimeout(timer);
      }
    },
  };
};
