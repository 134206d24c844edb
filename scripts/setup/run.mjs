// Runs programs with a deadline each, and can end those it started: by pid, never by name.
import { spawn } from 'node:child_process';
import { accessSync, constants as files, statSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';

const KEPT_OUTPUT = 64 * 1024;
const KILL_AFTER_MS = 5_000;

/** Signals a program and all that it started: each leads a process group of its own. */
const signalGroup = (child, signal) => {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It is gone already, which is what we want.
  }
};

const collect = (child) => {
  const stdout = [];
  let out = '';
  const keep = (bytes) => {
    out = (out + bytes).slice(-KEPT_OUTPUT);
  };
  child.stdout?.on('data', (bytes) => stdout.push(bytes));
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  return () => ({ out, stdout: Buffer.concat(stdout).toString('utf8') });
};

/**
 * `run` resolves to `{ code, out, stdout }` and never rejects: 127 when the program cannot be started, 124 when
 * its deadline passed, 128 + n when signal n ended it. `show` lets it write to our own terminal.
 */
export const createRunner = ({ env }) => {
  const alive = new Map();
  let stopped = false;
  const run = (command, args, { cwd, extraEnv = {}, deadlineMs, show = false }) =>
    new Promise((resolve) => {
      if (stopped) return resolve({ code: 128 + constants.signals.SIGTERM, out: 'stopped', stdout: '' });
      const stdio = ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'];
      const child = spawn(command, args, { cwd, env: { ...env, ...extraEnv }, stdio, detached: true });
      const output = collect(child);
      let late = false;
      const end = () => {
        signalGroup(child, 'SIGTERM');
        setTimeout(() => alive.has(child) && signalGroup(child, 'SIGKILL'), KILL_AFTER_MS).unref();
      };
      const timer = setTimeout(() => {
        late = true;
        end();
      }, deadlineMs);
      const settle = (code, reason = '') => {
        clearTimeout(timer);
        alive.delete(child);
        const { out, stdout } = output();
        resolve({
          code: late ? 124 : code,
          out: late ? `${out}\nnot done within ${deadlineMs / 1000} s` : out + reason,
          stdout,
        });
      };
      alive.set(child, end);
      child.on('error', (error) => settle(127, error.message));
      child.on('close', (code, signal) => settle(code ?? 128 + constants.signals[signal]));
    });
  /** Ends everything that still runs, waits until it has ended, and starts nothing more. */
  const stop = async () => {
    stopped = true;
    for (const end of alive.values()) end();
    for (let waited = 0; alive.size > 0 && waited < KILL_AFTER_MS + 1_000; waited += 50) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  return { run, stop, isStopped: () => stopped };
};

const isProgram = (file) => {
  try {
    accessSync(file, files.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
};

/** Every program of this name on PATH, first one first, leaving out the folders in `except`. */
export const onPath = (name, { path, except = [] }) =>
  (path ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '' && !except.includes(folder))
    .map((folder) => join(folder, name))
    .filter(isProgram);
