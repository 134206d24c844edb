import { eventId } from '@agentgate/contracts';
import { formatProof } from '@agentgate/evidence';
import type { Command } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import { quoted } from '../quoted.ts';
import type { Run } from '../run.ts';
import { readStatus } from '../stack.ts';
import { eventOf } from './excerpt.ts';
import { writeOut } from './out.ts';
import { wrongIndex } from './query-index.ts';
import { type IndexFlags, withIndexedLog, withLogOptions } from './selection.ts';
import { entryFileOf } from './verify-file.ts';

interface ProveFlags extends IndexFlags {
  out?: string;
}

const prove = (ctx: CliContext, id: string, flags: ProveFlags): Promise<number> =>
  withIndexedLog(ctx, flags, async (log, index) => {
    if (!eventId.safeParse(id).success) throw new CliError('event: must be the id of an event, as evt_…');
    const found = index.byId(id);
    if (!found)
      throw new CliError(
        `no event of the log has id ${id}: its newest checkpoint covers ${log.checkpoint.size} entries, and one covers what is new within a second`,
      );
    const [entry, path] = await Promise.all([log.entry(found.index), log.path(found.index)]);
    if (eventOf(entry).id !== id) throw new CliError(wrongIndex(found.index));
    const proof = formatProof({ index: found.index, path, checkpoint: log.note });
    const { out } = flags;
    if (out === undefined) {
      if (ctx.json) ctx.out(JSON.stringify({ index: found.index, proof, entry }));
      else process.stdout.write(proof);
      return 0;
    }
    writeOut(out, proof);
    writeOut(entryFileOf(out), entry);
    const own = flags.log === undefined ? readStatus(ctx.home).witness?.vkey : undefined;
    const witness = own === undefined ? '…' : quoted(own);
    const verify = `npx agentgate evidence verify ${quoted(out)} --vkey ${quoted(log.vkey)} --witness ${witness}`;
    ctx.answer({ index: found.index, proof: out, entry: entryFileOf(out), verify }, () =>
      [
        `${out}: entry ${found.index} is in the log of ${log.checkpoint.size} entries; ${entryFileOf(out)} is that entry`,
        `verify it with ${verify}`,
        'or with any tool that knows c2sp.org/tlog-proof: the leaf is SHA-256 of a zero byte and the entry',
      ].join('\n'),
    );
    return 0;
  });

/** `agentgate evidence prove`: that the log holds an event, in a file of a kilobyte. */
export const registerProve = (evidence: Command, run: Run): void => {
  withLogOptions(evidence.command('prove'))
    .description('a C2SP tlog-proof that the log holds an event')
    .argument('<event>', 'evt_…')
    .option('--out <file>', 'write it there, and the entry beside it (default: the proof alone to stdout)')
    .action(run((ctx, id: string, flags: ProveFlags) => prove(ctx, id, flags)));
};
