import { AgentGateError } from '@agentgate/contracts';
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';

const warn = pino.levels.values.warn ?? 40;

/** What heals by itself (a warning), and what somebody foresaw and gave a code: where in our code it came up tells an operator nothing. */
const isForeseen = (error: Error, level: number): boolean =>
  level <= warn || (error instanceof AgentGateError && error.code !== 'INTERNAL');

const withoutStack = (error: Error) => {
  // Its message has those of its causes.
  const { stack: _, ...told } = pino.stdSerializers.err(error);
  return told;
};

/** A service's log: one line an entry. Stacks stand in it for what nobody foresaw; with level `debug` for every error. */
export const createLog = (
  { service, level = 'info' }: { service: string; level?: string | undefined },
  to?: DestinationStream,
): Logger => {
  const logMethod: NonNullable<LoggerOptions['hooks']>['logMethod'] = function (args, method, level) {
    const [about, ...rest] = args as unknown[] as [unknown, ...unknown[]];
    const error = (about as { err?: unknown } | null | undefined)?.err;
    const isShort = error instanceof Error && isForeseen(error, level) && !this.isLevelEnabled('debug');
    const told = isShort ? { ...(about as object), err: withoutStack(error) } : about;
    method.apply(this, [told, ...rest] as unknown as Parameters<typeof method>);
  };
  // As pino's own, which would take what has its stack no more for an error of another kind.
  const err = (error: unknown) => (error instanceof Error ? pino.stdSerializers.err(error) : error);
  const options: LoggerOptions = {
    level,
    base: { service },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err },
    hooks: { logMethod },
  };
  return to ? pino(options, to) : pino(options);
};
