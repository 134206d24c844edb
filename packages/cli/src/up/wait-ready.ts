import type { ServiceName } from '@agentgate/contracts';
import { GroundError } from '@agentgate/ground';
import { z } from 'zod';
import { entryOf } from './log-lines.ts';
import type { ProgramState } from './supervisor.ts';

/** What a service tells of itself at /readyz. */
const readiness = z.object({
  status: z.string(),
  problems: z.array(z.string()),
  service: z.string(),
  instance: z.string(),
  version: z.string(),
  started_at: z.string(),
  pid: z.int(),
});
export type Readiness = z.infer<typeof readiness>;

/** Undefined where nobody answers. */
export const askReady = async (port: number, timeoutMs = 1_500): Promise<Readiness | undefined> => {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(timeoutMs) });
    return readiness.parse(await response.json());
  } catch {
    return undefined;
  }
};

/** So often may a service end before the start is given up: once is a race with a server, thrice is a fault. */
const tolerated = 3;

/** The last message that says why: of a log line, else of a crash, else whatever came last. */
export const lastWords = (name: string, state: ProgramState | undefined): string => {
  const entries = (state?.lastLines ?? [])
    .map((line) => entryOf(name, line, Date.now))
    .filter((e) => e.msg.trim() !== '');
  const crash = /Error(?: \[\w+\])?: /;
  const last = entries.findLast((e) => e.level >= 50) ?? entries.find((e) => crash.test(e.msg)) ?? entries.at(-1);
  if (last === undefined) return 'it said nothing';
  return last.err?.message ? `${last.msg}: ${last.err.message}` : last.msg;
};

/** Waits until every service is ready. Throws GroundError with what one says that does not come up. */
export const waitReady = async (opts: {
  ports: Record<ServiceName, number>;
  state: (name: string) => ProgramState | undefined;
  timeoutMs: number;
  signal: AbortSignal;
}): Promise<void> => {
  const end = performance.now() + opts.timeoutMs;
  const waiting = new Map(Object.entries(opts.ports));
  let problems: string[] = [];
  while (waiting.size > 0) {
    opts.signal.throwIfAborted();
    for (const [service, port] of [...waiting]) {
      const state = opts.state(service);
      if ((state?.ends ?? 0) >= tolerated)
        throw new GroundError(`${service} does not start: ${lastWords(service, state)}`);
      const told = await askReady(port);
      if (told?.service === service && told.pid === state?.pid && told.problems.length === 0) waiting.delete(service);
      else problems = told?.problems ?? [lastWords(service, state)];
    }
    if (waiting.size === 0) return;
    if (performance.now() > end)
      throw new GroundError(
        `${[...waiting.keys()].join(', ')} not ready after ${opts.timeoutMs / 1000} s: ${problems.join('; ')}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
