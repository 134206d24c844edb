// Runs a program of the project in the foreground, on Node 26, and ends as it ends.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const FORWARD_AFTER_MS = 500;

/**
 * Resolves to the exit code. Ctrl-C reaches the whole group of the terminal, so the program most often has the signal
 * already when we get it (and npm passes it on to us a second time). It is passed on once, and only after a moment in
 * which a program that had it would have gone: whoever signals us alone is served as well.
 */
export const foreground = (context, args) =>
  new Promise((resolve) => {
    const child = spawn(context.node26, args, { stdio: 'inherit', env: context.projectEnv });
    let timer;
    const onSignal = (signal) => {
      timer ??= setTimeout(() => child.kill(signal), FORWARD_AFTER_MS);
    };
    for (const signal of SIGNALS) process.on(signal, onSignal);
    const settle = (code) => {
      clearTimeout(timer);
      for (const signal of SIGNALS) process.off(signal, onSignal);
      resolve(code);
    };
    child.on('error', (error) => {
      console.error(`cannot start ${context.node26}: ${error.message}`);
      settle(127);
    });
    child.on('exit', (code, signal) => settle(code ?? 128 + constants.signals[signal]));
  });
