import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** A server program that a test may stop, start again and kill. It is ended by its pid, and with the test's process at the latest. */
export interface Program {
  start(): Promise<void>;
  /** Ends it as a supervisor would, and resolves once it is gone. */
  stop(): Promise<void>;
  /** Sends a signal; resolves once it is gone, except for SIGSTOP and SIGCONT. */
  kill(signal: NodeJS.Signals): Promise<void>;
  readonly pid: number | undefined;
}

const stopMs = 5_000;

export const createProgram = (opts: {
  binary: string;
  args: string[];
  logFile: string;
  /** Whom it runs as; only where this process may choose. */
  user?: { uid: number; gid: number };
  ready: (gone: () => string | undefined) => Promise<void>;
}): Program => {
  let child: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
  const tail = () => readFileSync(opts.logFile, 'utf8').slice(-600);
  const killNow = () => child?.kill('SIGKILL');

  const start = async () => {
    const log = openSync(opts.logFile, 'a');
    const started = spawn(opts.binary, opts.args, { stdio: ['ignore', log, log], ...opts.user });
    closeSync(log);
    child = started;
    let gone: string | undefined;
    exited = new Promise((resolve) => {
      const end = (why: string) => {
        gone = why;
        if (child === started) child = undefined;
        process.off('exit', killNow);
        resolve();
      };
      started.once('error', (error) => end(error.message));
      started.once('exit', (code, signal) => end(`${signal ?? code}: ${tail()}`));
    });
    process.on('exit', killNow);
    await opts.ready(() => gone);
  };
  const kill = async (signal: NodeJS.Signals) => {
    child?.kill(signal);
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await exited;
  };
  const stop = async () => {
    const running = child;
    if (!running) return;
    // One that a test froze must run to hear that it is to end.
    running.kill('SIGCONT');
    running.kill('SIGTERM');
    const timer = setTimeout(() => running.kill('SIGKILL'), stopMs);
    await exited;
    clearTimeout(timer);
  };
  return {
    start,
    stop,
    kill,
    get pid() {
      return child?.pid;
    },
  };
};
