import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bus, connectBus } from '@agentgate/bus';
import { type StackStatus, stackStatus } from '@agentgate/contracts';
import { nameInCreds } from '@agentgate/ground';
import { parseTrust, type Trust } from '@agentgate/runtime';
import { CliError } from './context.ts';
import { homeHolder } from './up/home-lock.ts';

export const statusFile = (home: string): string => join(home, 'status.json');

/** Where the running stack is. Throws CliError where none runs in this home. */
export const readStatus = (home: string): StackStatus => {
  const file = statusFile(home);
  if (!existsSync(file)) throw new CliError(`nothing runs in ${home}: start it with npm start`);
  const parsed = stackStatus.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (!parsed.success) throw new CliError(`${file} is not of this version`);
  return parsed.data;
};

/** Connects as whoever a credentials file is for: `agent-demo`, `operator`, `auditor` … */
export const connectAs = async (home: string, user: string): Promise<Bus> => {
  const { nats, creds } = readStatus(home);
  const file = join(creds, `${user}.creds`);
  if (!existsSync(file)) throw new CliError(`nobody is named ${user}: there is no ${file}`);
  const text = readFileSync(file, 'utf8');
  const opts = { servers: nats, creds: text, user: await nameInCreds(text), instance: 'cli' };
  return connectBus(opts).catch((cause: unknown) => {
    requireRunning(home, cause);
    throw cause;
  });
};

/** Throws CliError where a status.json is left and no `up` lives: after a power cut, say, nobody was there to take it away. */
export const requireRunning = (home: string, cause?: unknown): void => {
  if (homeHolder(home) !== undefined) return;
  const why = 'its status.json is of an agentgate up that was killed';
  throw new CliError(`nothing runs in ${home}: ${why}; start it with npm start`, { cause });
};

export const withUser = async <T>(home: string, user: string, work: (bus: Bus) => Promise<T>): Promise<T> => {
  const bus = await connectAs(home, user);
  try {
    return await work(bus);
  } finally {
    await bus.close();
  }
};

export const trustOf = (home: string): Trust => parseTrust(readFileSync(join(home, 'keys', 'trust.json'), 'utf8'));
