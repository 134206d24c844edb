import { type ChildProcess, spawn } from 'node:child_process';
import {
  type JSONRPCMessage,
  ReadBuffer,
  SdkError,
  SdkErrorCode,
  serializeMessage,
  type Transport,
} from '@modelcontextprotocol/client';

export interface ChildOptions {
  command: string;
  args: readonly string[];
  /** All that the process gets; nothing is inherited. */
  env: Record<string, string>;
  cwd: string;
  /** A message of the process above this ends it. */
  maxMessageBytes: number;
  /** A line of its stderr, cut. Absent where the process holds a secret: it may print it. */
  onStderr?: (line: string) => void;
}

/** Children of this process; so that none outlives it. */
export interface Children {
  add(child: ChildProcess): void;
  /** Now, without waiting: for when this process is about to end. */
  killAll(): void;
}

export const createChildren = (): Children => {
  const running = new Set<ChildProcess>();
  return {
    add: (child) => {
      running.add(child);
      child.once('exit', () => running.delete(child));
    },
    killAll: () => {
      for (const child of running) killGroup(child, 'SIGKILL');
    },
  };
};

const termAfterMs = 300;
const killAfterMs = 1_000;
const flushMs = 200;
const maxLineChars = 2_048;
/** What a process may leave unread before it gets nothing more. */
const maxUnreadBytes = 32 * 1024 * 1024;

/**
 * MCP over the standard streams of a child. Unlike the client's own transport it starts the child in a process group of its own, so
 * that what the child starts ends with it, and hands on no part of our environment.
 */
export const createChildTransport = (opts: ChildOptions, children: Children): Transport => {
  const incoming = new ReadBuffer({ maxBufferSize: opts.maxMessageBytes });
  let child: ChildProcess | undefined;
  const gone = Promise.withResolvers<void>();
  const transport: Transport = {
    start: () =>
      new Promise((resolve, reject) => {
        child = spawn(opts.command, [...opts.args], {
          env: opts.env,
          cwd: opts.cwd,
          stdio: ['pipe', 'pipe', opts.onStderr ? 'pipe' : 'ignore'],
          shell: false,
          detached: true,
        });
        children.add(child);
        child.once('spawn', () => resolve());
        child.once('error', (error) => {
          gone.resolve();
          reject(error);
        });
        const over = () => {
          gone.resolve();
          const tell = transport.onclose;
          delete transport.onclose;
          tell?.();
        };
        // What it wrote before its end may still be on the way; but a stranger that holds the pipe does not keep us waiting.
        child.once('close', over);
        child.once('exit', () => {
          // Whatever it left running was part of it.
          if (child) killGroup(child, 'SIGKILL');
          setTimeout(over, flushMs).unref();
        });
        child.stdin?.on('error', (error) => transport.onerror?.(error));
        child.stdout?.on('data', (chunk: Buffer) => take(transport, incoming, chunk));
        if (opts.onStderr && child.stderr) readLines(child.stderr, opts.onStderr);
      }),
    send: async (message) => {
      if (!child?.stdin?.writable) throw new SdkError(SdkErrorCode.NotConnected, 'the process is gone');
      if (child.stdin.writableLength > maxUnreadBytes)
        throw new SdkError(SdkErrorCode.NotConnected, 'the process does not read its input');
      child.stdin.write(oneLine(serializeMessage(message)));
    },
    close: async () => {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const ending = child;
      ending.stdin?.end();
      const term = setTimeout(() => killGroup(ending, 'SIGTERM'), termAfterMs);
      const kill = setTimeout(() => killGroup(ending, 'SIGKILL'), killAfterMs);
      await gone.promise;
      clearTimeout(term);
      clearTimeout(kill);
    },
  };
  return transport;
};

const take = (transport: Transport, incoming: ReadBuffer, chunk: Buffer): void => {
  try {
    incoming.append(chunk);
  } catch (error) {
    transport.onerror?.(error instanceof Error ? error : new Error('a message is too long'));
    void transport.close().catch(() => {});
    return;
  }
  for (;;) {
    let message: JSONRPCMessage | null;
    try {
      message = incoming.readMessage();
    } catch (error) {
      // One bad line is skipped; the lines after it stand.
      transport.onerror?.(error instanceof Error ? error : new Error('a line is no message'));
      continue;
    }
    if (message === null) return;
    transport.onmessage?.(message);
  }
};

/** Some line readers (Node's readline, Python's splitlines) also break at these, which JSON leaves as they are: an argument could cut its message in two. */
const oneLine = (line: string): string =>
  line.replace(/[\u0085\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

const readLines = (stream: NodeJS.ReadableStream, tell: (line: string) => void): void => {
  let rest = '';
  stream.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = (lines.pop() ?? '').slice(0, maxLineChars);
    for (const line of lines) if (line.trim() !== '') tell(line.slice(0, maxLineChars));
  });
};

const killGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Nobody is left in the group.
  }
};
