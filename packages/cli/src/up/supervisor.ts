import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { openLogFile } from './log-file.ts';
import { removePid, writePid } from './pid-files.ts';
import { splitLines } from './split-lines.ts';

export interface ProgramSpec {
  name: string;
  command: string;
  args: readonly string[];
  env: Record<string, string>;
  cwd: string;
}

export interface ProgramState {
  name: string;
  pid: number | undefined;
  /** How often it ended although nobody asked it to. */
  ends: number;
  /** Its last lines, for whoever must say why it does not come up. */
  lastLines: readonly string[];
}

/** Keeps programs running: each in a process group of its own, restarted with backoff, its output handed on line by line. */
export interface Supervisor {
  start(spec: ProgramSpec): void;
  /** SIGTERM, then after `graceMs` SIGKILL to the whole group; resolves once they are gone. */
  stop(names: readonly string[], graceMs: number): Promise<void>;
  /** SIGTERM; like every program that ends, it is started again. */
  restart(name: string): void;
  state(name: string): ProgramState | undefined;
}

export interface SupervisorOptions {
  home: string;
  onLine: (program: string, line: string) => void;
  onEnd: (program: string, how: string, againInMs: number) => void;
  random?: () => number;
  /** Milliseconds before the first restart; it doubles with each end in a row. */
  firstDelayMs?: number;
}

const longestDelayMs = 10_000;
/** Who ran so long is taken as sound: its next end starts the backoff anew. */
const soundAfterMs = 30_000;
const maxLineLength = 64 * 1024;
const keptLines = 20;

interface Program {
  spec: ProgramSpec;
  child: ChildProcess | undefined;
  wanted: boolean;
  ends: number;
  inARow: number;
  startedAt: number;
  timer: NodeJS.Timeout | undefined;
  lines: string[];
  log: ReturnType<typeof openLogFile>;
  gone: Promise<void>;
}

export const createSupervisor = (opts: SupervisorOptions): Supervisor => {
  const { home, onLine, onEnd, random = Math.random, firstDelayMs = 250 } = opts;
  const programs = new Map<string, Program>();

  const takeLine = (program: Program, line: string) => {
    program.lines = [...program.lines.slice(1 - keptLines), line];
    program.log.write(line);
    onLine(program.spec.name, line);
  };

  const run = (program: Program) => {
    const { spec } = program;
    program.startedAt = performance.now();
    const { child, gone } = launch(spec, (line) => takeLine(program, line));
    program.child = child;
    const unnoted = child.pid === undefined ? undefined : note(spec.name, child.pid);
    program.gone = gone.then((how) => {
      program.child = undefined;
      if (child.pid !== undefined) removePid(home, spec.name, child.pid);
      if (program.wanted) again(program, unnoted ?? how);
    });
  };

  /** On a full disk it fails. What would not be found after our own end does not run: it is tried again until there is room. */
  const note = (name: string, pid: number): string | undefined => {
    try {
      writePid(home, name, pid);
      return undefined;
    } catch (error) {
      signalGroup(pid, 'SIGKILL');
      return `its process id cannot be written down: ${(error as Error).message}`;
    }
  };

  const again = (program: Program, how: string) => {
    program.ends++;
    program.inARow = performance.now() - program.startedAt > soundAfterMs ? 1 : program.inARow + 1;
    const full = Math.min(longestDelayMs, firstDelayMs * 2 ** (program.inARow - 1));
    const delay = Math.round(full / 2 + (full / 2) * random());
    onEnd(program.spec.name, how, delay);
    program.timer = setTimeout(() => run(program), delay);
  };

  const stop = async (program: Program, graceMs: number) => {
    program.wanted = false;
    clearTimeout(program.timer);
    const pid = program.child?.pid;
    if (pid !== undefined) {
      signalGroup(pid, 'SIGTERM');
      const timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), graceMs);
      await program.gone;
      clearTimeout(timer);
    }
    program.log.close();
    programs.delete(program.spec.name);
  };

  return {
    start: (spec) => {
      const log = openLogFile(join(home, 'logs', `${spec.name}.log`));
      const program: Program = {
        spec,
        child: undefined,
        wanted: true,
        ends: 0,
        inARow: 0,
        startedAt: 0,
        timer: undefined,
        lines: [],
        log,
        gone: Promise.resolve(),
      };
      programs.set(spec.name, program);
      run(program);
    },
    stop: async (names, graceMs) => {
      await Promise.all(names.map((name) => programs.get(name)).map((program) => program && stop(program, graceMs)));
    },
    restart: (name) => {
      const pid = programs.get(name)?.child?.pid;
      if (pid !== undefined) signalGroup(pid, 'SIGTERM');
    },
    state: (name) => {
      const program = programs.get(name);
      return program && { name, pid: program.child?.pid, ends: program.ends, lastLines: program.lines };
    },
  };
};

/** Starts a program. `gone` resolves with how it ended, once it did. */
const launch = (spec: ProgramSpec, onLine: (line: string) => void): { child: ChildProcess; gone: Promise<string> } => {
  // A group of its own: the terminal's Ctrl-C reaches us alone, and we end them in order.
  const child = spawn(spec.command, spec.args, {
    cwd: spec.cwd,
    env: spec.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', splitLines(maxLineLength, onLine));
  const gone = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => {
      // Whatever it had started itself does not outlive it.
      if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
      resolve(signal ?? `code ${code}`);
    });
  });
  return { child, gone };
};

const signalGroup = (leader: number, signal: NodeJS.Signals) => {
  try {
    process.kill(-leader, signal);
  } catch {
    // Nobody of the group is left.
  }
};
