import { type Command, InvalidArgumentError } from 'commander';
import type { CliContext } from '../context.ts';
import type { Run } from '../run.ts';
import { trustOf, withUser } from '../stack.ts';
import { registerErase } from './erase.ts';
import { registerExport } from './export.ts';
import { entryJson, entryLine } from './line.ts';
import { registerProve } from './prove.ts';
import { registerQuery } from './query.ts';
import { type ReadEntry, readEvidence } from './read.ts';
import { registerVerify } from './verify.ts';

const person = 'auditor';

interface TailFlags {
  number: number;
  follow?: true;
  session?: string;
}

const count = (text: string): number => {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1 || n > 100_000) throw new InvalidArgumentError('must be 1 to 100000');
  return n;
};

/** Tells entries, and remembers whether all was as it should be. What cannot be believed is told whatever was asked for. */
const createTeller = (ctx: CliContext) => {
  let good = true;
  return {
    tell: (read: ReadEntry) => {
      good &&= read.problems.length === 0;
      ctx.out(ctx.json ? JSON.stringify(entryJson(read)) : entryLine(ctx.paint, read));
    },
    exitCode: () => (good ? 0 : 1),
  };
};

/** Whether an entry is about this event, call or session. */
const isAbout = ({ entry, problems }: ReadEntry, id: string): boolean => {
  if (!entry) return problems.length > 0;
  const { event } = entry;
  return event.id === id || event.session === id || event.subject === id || event.data.call === id;
};

const interrupted = () =>
  new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });

const tail = (ctx: CliContext, { number, follow, session }: TailFlags): Promise<number> =>
  withUser(ctx.home, person, async (bus) => {
    const teller = createTeller(ctx);
    let ring: ReadEntry[] | undefined = [];
    const onEntry = (read: ReadEntry) => {
      if (session !== undefined && !isAbout(read, session)) return;
      if (!ring) return teller.tell(read);
      ring.push(read);
      if (ring.length > number) ring.shift();
    };
    // Only without a filter do the last entries of the stream stand where one can begin to read.
    const last = session === undefined ? number : undefined;
    const follower = await readEvidence({ bus, keys: trustOf(ctx.home), last, onEntry });
    const gathered = ring;
    ring = undefined;
    for (const read of gathered) teller.tell(read);
    if (follow) await interrupted();
    await follower.close();
    return teller.exitCode();
  });

const show = (ctx: CliContext, id: string): Promise<number> =>
  withUser(ctx.home, person, async (bus) => {
    const teller = createTeller(ctx);
    let found = 0;
    const onEntry = (read: ReadEntry) => {
      if (!isAbout(read, id)) return;
      if (read.entry) found++;
      teller.tell(read);
    };
    const follower = await readEvidence({ bus, keys: trustOf(ctx.home), onEntry });
    await follower.close();
    if (found > 0) return teller.exitCode();
    ctx.err(`agentgate: nothing in evidence is about ${id}`);
    return 1;
  });

/** `agentgate evidence tail|show` read EVIDENCE as the auditor and verify each entry with the producers' public keys; `verify` reads files. */
export const registerEvidence = (program: Command, run: Run): void => {
  const evidence = program.command('evidence').description('read and verify the evidence');
  const ends = '\nExit code 1 where an entry is not what it should be.';
  evidence
    .command('tail')
    .description('the last entries')
    .option('-n, --number <n>', 'how many', count, 20)
    .option('-f, --follow', 'go on with what comes, until Ctrl-C')
    .option('--session <id>', 'only of this session')
    .addHelpText('after', ends)
    .action(run((ctx, flags: TailFlags) => tail(ctx, flags)));
  evidence
    .command('show')
    .description('everything about an event, a call or a session')
    .argument('<id>', 'evt_…, call_… or ses_…')
    .addHelpText('after', ends)
    .action(run((ctx, id: string) => show(ctx, id)));
  for (const register of [registerVerify, registerProve, registerExport, registerQuery, registerErase])
    register(evidence, run);
};
