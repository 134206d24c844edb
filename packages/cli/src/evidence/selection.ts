import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { privateFolder } from '@agentgate/ground';
import { type Command, InvalidArgumentError } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import { createProgress } from './progress.ts';
import { type LogFlags, openPublishedLog, type PublishedLog } from './published-log.ts';
import { isIndexFile, openQueryIndex, type QueryIndex, type Selection } from './query-index.ts';

export interface IndexFlags extends LogFlags {
  index?: string;
}

/** With its zone, so that the same words select the same events wherever they are said. */
const momentForm = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/;
export const moment = (text: string): number => {
  const [, day] = momentForm.exec(text) ?? [];
  const at = Date.parse(text);
  // A day that no calendar has would be read as one of the next month.
  const isDay = day !== undefined && !Number.isNaN(at) && new Date(day).toISOString().startsWith(day);
  if (!isDay) throw new InvalidArgumentError('must be a day in UTC or a time, as 2026-11-25 or 2026-11-25T18:00:00Z');
  return at;
};

/** Which log, and which index of it. */
export const withLogOptions = (command: Command): Command =>
  command
    .option('--log <where>', 'the log’s folder or web address (default: the running stack’s)')
    .option('--vkey <vkey>', 'the log’s key (default: the running stack’s)')
    .option('--index <file>', 'the query index (default: the running stack’s own; of another log one in memory)');

/** Which events. */
export const withSelection = (command: Command): Command =>
  command
    .option('--session <id>', 'of this session')
    .option('--agent <name>', 'of this agent')
    .option('--tenant <name>', 'of this tenant')
    .option('--tool <server/tool>', 'about this tool')
    .option('--call <id>', 'of this call')
    .option('--type <type>', 'of this type, as call.decided')
    .option('--outcome <outcome>', 'that ended so, as ok, deny or NO_GRANT')
    .option('--incident <id>', 'of this incident')
    .option('--from <time>', 'from this time on', moment)
    .option('--to <time>', 'before this time', moment);

export const selectionOf = (flags: Selection): Selection => {
  const { session, agent, tenant, tool, call, type, outcome, incident, from, to } = flags;
  if (from !== undefined && to !== undefined && from >= to) throw new CliError('--from must be before --to');
  const all = { session, agent, tenant, tool, call, type, outcome, incident, from, to };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
};

export const indexFile = (ctx: Pick<CliContext, 'home'>, { log, index }: IndexFlags): string =>
  index ?? (log === undefined ? join(ctx.home, 'evidence-index.db') : ':memory:');

const prepareFile = (file: string, { anew, isOwn }: { anew: boolean; isOwn: boolean }) => {
  if (file === ':memory:') return;
  if (anew) {
    if (!isOwn && isIndexFile(file) === false)
      throw new CliError(`${file} is no index of evidence, and is not thrown away: give another --index`);
    for (const end of ['', '-wal', '-shm']) rmSync(`${file}${end}`, { force: true });
  }
  privateFolder(dirname(file));
};

/** Of reading the checkpoint, where other processes see newer ones at the same time. */
const attempts = 3;

/** Opens the log and an index that knows all of it. `anew` throws away what the index knew. */
export const withIndexedLog = async <T>(
  ctx: CliContext,
  flags: IndexFlags & { anew?: boolean },
  work: (log: PublishedLog, index: QueryIndex) => Promise<T> | T,
): Promise<T> => {
  let log = await openPublishedLog(ctx, flags);
  const file = indexFile(ctx, flags);
  prepareFile(file, { anew: flags.anew ?? false, isOwn: flags.index === undefined });
  const index = openQueryIndex(file);
  const progress = createProgress(ctx);
  const sync = () =>
    index.sync(log, (entries) => progress.show({ entries, size: log.checkpoint.size })).finally(progress.end);
  try {
    for (let left = attempts; !(await sync()); log = await openPublishedLog(ctx, flags))
      if (--left === 0)
        throw new CliError(
          `${file} knows ${index.size()} entries, the log has ${log.checkpoint.size}: it was cut back or is a copy from before; "evidence reindex" begins anew`,
        );
    return await work(log, index);
  } finally {
    index.close();
  }
};
