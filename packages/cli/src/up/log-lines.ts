import { prettyFactory } from 'pino-pretty';

// Every line of every program becomes one JSON line of pino's form, or the same for people.

export type LogFormat = 'pretty' | 'json';

const levels = { debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;
type Level = keyof typeof levels;

const natsLevels: Record<string, Level> = {
  DBG: 'debug',
  TRC: 'debug',
  INF: 'info',
  WRN: 'warn',
  ERR: 'error',
  FTL: 'fatal',
};
/** [pid] 2026/01/02 03:04:05.678901 [INF] text */
const ofNats = (line: string) => {
  const match = /^\[\d+\] \S+ \S+ \[([A-Z]{3})\] (.*)$/.exec(line);
  return match ? { level: natsLevels[match[1] ?? ''] ?? 'info', msg: match[2] ?? '' } : undefined;
};
const redisLevels: Record<string, Level> = { '.': 'debug', '-': 'info', '*': 'info', '#': 'warn' };
/** pid:M 02 Jan 2026 03:04:05.678 * text */
const ofRedis = (line: string) => {
  const match = /^\d+:[A-Z] .*?\d\.\d{3} ([.*#-]) (.*)$/.exec(line);
  return match ? { level: redisLevels[match[1] ?? ''] ?? 'info', msg: match[2] ?? '' } : undefined;
};

/** These say that they are warnings and are none: what Redis 7.0 tells of its start, and that a port has no TLS which listens on loopback alone. */
const isNews = (text: string): boolean =>
  /^(oO0Oo|Redis version=|Configuration loaded$|Server initialized$|Websocket not configured with TLS)/.test(text);

interface Entry {
  level: number;
  time: string;
  service: string;
  msg: string;
  err?: { message?: string };
}

const isEntry = (value: unknown): value is Entry =>
  typeof value === 'object' && value !== null && 'level' in value && typeof value.level === 'number' && 'msg' in value;

export const entryOf = (program: string, line: string, now: () => number): Entry => {
  try {
    const parsed: unknown = JSON.parse(line);
    if (isEntry(parsed)) return { ...parsed, service: program };
  } catch {
    // Not pino's: the servers have their own forms, and a crash writes plain text.
  }
  const known = ofNats(line) ?? ofRedis(line);
  const level = known && isNews(known.msg) ? 'info' : (known?.level ?? 'warn');
  return { level: levels[level], time: new Date(now()).toISOString(), service: program, msg: known?.msg ?? line };
};

/** The servers' own news is for their log file; a terminal gets their warnings, and all that services say. */
const isWorth = (entry: Entry, isServer: boolean) => entry.level >= (isServer ? levels.warn : levels.info);

export const createLines = (opts: {
  format: LogFormat;
  color: boolean;
  servers: readonly string[];
  write: (text: string) => void;
  now?: () => number;
}) => {
  const { now = Date.now } = opts;
  const pretty = prettyFactory({
    colorize: opts.color,
    ignore: 'pid,hostname,service',
    messageFormat: (log, key) => `${String(log.service)}: ${String(log[key])}`,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
  });
  return (program: string, line: string): void => {
    const entry = entryOf(program, line, now);
    if (!isWorth(entry, opts.servers.includes(program))) return;
    opts.write(opts.format === 'json' ? `${JSON.stringify(entry)}\n` : pretty(entry));
  };
};
