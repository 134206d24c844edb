import { type Command, InvalidArgumentError } from 'commander';
import type { CliContext } from '../context.ts';
import type { Run } from '../run.ts';
import type { FoundRow, Selection } from './query-index.ts';
import { type IndexFlags, indexFile, selectionOf, withIndexedLog, withLogOptions, withSelection } from './selection.ts';

interface QueryFlags extends IndexFlags, Selection {
  number: number;
  oldestFirst?: true;
}

const count = (text: string): number => {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1 || n > 1_000_000) throw new InvalidArgumentError('must be 1 to 1000000');
  return n;
};

const printable = (text: string | null) => (text ?? '-').replace(/[\p{Cc}\p{Cf}]/gu, '·');
const line = ({ index, time, type, agent, tool, call, session, outcome, code, id }: FoundRow): string =>
  [
    String(index).padEnd(8),
    new Date(time).toISOString(),
    printable(type).padEnd(18),
    printable(agent).padEnd(12),
    printable(tool ?? call ?? session).padEnd(30),
    printable([outcome, code].filter(Boolean).join(' ') || null).padEnd(24),
    printable(id),
  ].join('  ');

const asJson = (row: FoundRow): object => ({
  ...Object.fromEntries(Object.entries(row).filter(([key, value]) => value !== null && key !== 'idx')),
  time: new Date(row.time).toISOString(),
});

const query = (ctx: CliContext, flags: QueryFlags): Promise<number> =>
  withIndexedLog(ctx, flags, (_, index) => {
    const selection = selectionOf(flags);
    const rows = index.find(selection, { limit: flags.number, newestFirst: !flags.oldestFirst });
    for (const row of rows) ctx.out(ctx.json ? JSON.stringify(asJson(row)) : line(row));
    if (!ctx.json) {
      const all = index.count(selection);
      ctx.err(all > rows.length ? `${rows.length} of ${all} events` : `${all} events`);
    }
    return 0;
  });

const reindex = (ctx: CliContext, flags: IndexFlags): Promise<number> =>
  withIndexedLog(ctx, { ...flags, anew: true }, (log, index) => {
    const file = indexFile(ctx, flags);
    ctx.answer(
      { index: file, entries: index.size(), origin: log.checkpoint.origin },
      () => `${file} knows ${index.size()} entries of ${log.checkpoint.origin}`,
    );
    return 0;
  });

/** `agentgate evidence query|reindex`: finds events by an index that anybody can make again from the log's files. */
export const registerQuery = (evidence: Command, run: Run): void => {
  withSelection(withLogOptions(evidence.command('query')))
    .description('finds events; what it finds is proven by prove and export')
    .option('-n, --number <n>', 'how many', count, 100)
    .option('--oldest-first', 'from the beginning of the log on')
    .action(run((ctx, flags: QueryFlags) => query(ctx, flags)));
  withLogOptions(evidence.command('reindex'))
    .description('makes the index anew from the log')
    .action(run((ctx, flags: IndexFlags) => reindex(ctx, flags)));
};
