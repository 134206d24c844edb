import { operatorSubject, operatorVerbs, type StackStatus } from '@agentgate/contracts';
import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import type { Run } from '../run.ts';
import { readStatus, withUser } from '../stack.ts';
import { localVkey, witnessName } from '../up/local-witness.ts';
import { livePids } from '../up/pid-files.ts';
import { serverNames } from '../up/server-names.ts';
import { askReady } from '../up/wait-ready.ts';

const killsMs = 1_500;

interface Row {
  service: string;
  healthy: boolean;
  version?: string;
  pid?: number;
  uptime_s?: number;
  problems: string[];
}

const rowOfService = async (service: string, metrics: string, now: number): Promise<Row> => {
  const told = await askReady(Number(new URL(metrics).port));
  if (!told) return { service, healthy: false, problems: ['does not answer'] };
  const uptime = Math.round((now - Date.parse(told.started_at)) / 1000);
  return {
    service,
    healthy: told.problems.length === 0,
    version: told.version,
    pid: told.pid,
    uptime_s: uptime,
    problems: told.problems,
  };
};

const rowOfServer = (service: string, pids: ReturnType<typeof livePids>, version?: string): Row => {
  const pid = pids.find((p) => p.name === service)?.pid;
  return {
    service,
    healthy: pid !== undefined,
    ...(pid === undefined ? {} : { pid }),
    ...(version === undefined ? {} : { version }),
    problems: pid === undefined ? ['does not run'] : [],
  };
};

/** Of the stack's own witness; others are somebody else's to look after, and audit says when they are silent. */
const rowsOfWitness = async (
  home: string,
  { witness }: StackStatus,
  pids: ReturnType<typeof livePids>,
): Promise<Row[]> => {
  if (!witness || localVkey(home) !== witness.vkey) return [];
  const row = rowOfServer(witnessName, pids);
  const answers = await fetch(witness.url, { signal: AbortSignal.timeout(1_500) }).then(
    (answer) => answer.ok,
    () => false,
  );
  return [answers || !row.healthy ? row : { ...row, healthy: false, problems: ['does not answer'] }];
};

const age = (seconds: number | undefined): string => {
  if (seconds === undefined) return '';
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
};

/** Every service may be well while nothing may run. */
const tellKills = ({ paint }: CliContext, kills: number | undefined): string => {
  if (kills === undefined) return paint.red('which kills stand is not known');
  if (kills === 0) return 'no kill stands';
  return paint.yellow(`${kills === 1 ? '1 kill stands' : `${kills} kills stand`}: agentgate kills`);
};

const tell = (ctx: CliContext, rows: Row[], kills: number | undefined): string => {
  const line = (r: Row) =>
    [
      r.service.padEnd(18),
      (r.version ?? '').padEnd(9),
      String(r.pid ?? '').padEnd(8),
      age(r.uptime_s).padEnd(8),
      r.healthy ? ctx.paint.green('healthy') : ctx.paint.red(r.problems.join('; ')),
    ].join(' ');
  return [
    ctx.paint.dim(['service'.padEnd(18), 'version'.padEnd(9), 'pid'.padEnd(8), 'uptime'.padEnd(8), 'health'].join(' ')),
    ...rows.map(line),
    tellKills(ctx, kills),
  ].join('\n');
};

/** Undefined where nobody says: then the kill-switch's own line tells why. */
const standingKills = async (home: string): Promise<number | undefined> => {
  try {
    return await withUser(home, 'operator', async (bus) => {
      const subject = operatorSubject('operator', 'kills');
      const answer = await bus.ask(operatorVerbs.kills, { v: 1 }, { subject, timeoutMs: killsMs });
      return 'kills' in answer ? answer.kills.length : undefined;
    });
  } catch {
    return undefined;
  }
};

const natsVersion = async (home: string): Promise<string | undefined> => {
  try {
    return await withUser(home, 'operator', async (bus) => bus.server().version);
  } catch {
    return undefined;
  }
};

export const registerStatus = (program: Command, run: Run): void => {
  program
    .command('status')
    .description('show each service, its version, uptime and health; exit code 1 when one is not healthy')
    .action(
      run(async (ctx) => {
        const status = readStatus(ctx.home);
        const now = Date.now();
        const pids = livePids(ctx.home);
        const [kills, ...services] = await Promise.all([
          standingKills(ctx.home),
          ...Object.entries(status.metrics).map(([service, url]) => rowOfService(service, url, now)),
        ]);
        const rows = [
          rowOfServer(serverNames[0], pids, await natsVersion(ctx.home)),
          rowOfServer(serverNames[1], pids),
          ...(await rowsOfWitness(ctx.home, status, pids)),
          ...services,
        ];
        const healthy = rows.every((r) => r.healthy);
        const answer = {
          v: 1,
          healthy,
          started_at: status.started_at,
          services: rows,
          ...(kills !== undefined && { kills }),
        };
        ctx.answer(answer, () => tell(ctx, rows, kills));
        return healthy ? 0 : 1;
      }),
    );
};
