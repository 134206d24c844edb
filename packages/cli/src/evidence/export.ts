import { basename } from 'node:path';
import { type Excerpt, NOTE_COSIGNATURE, parseVkey, verifyingKey } from '@agentgate/evidence';
import { type Command, InvalidArgumentError } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { readStatus } from '../stack.ts';
import { cloudEventsOf } from './cloudevents.ts';
import { eventOf, excerptOf, selectEvents } from './excerpt.ts';
import { ocsfEventsOf } from './ocsf.ts';
import { writeOut } from './out.ts';
import { pageOf } from './page.ts';
import { printPdf } from './pdf.ts';
import type { Selection } from './query-index.ts';
import { type IndexFlags, selectionOf, withIndexedLog, withLogOptions, withSelection } from './selection.ts';
import { given } from './verify.ts';

const formats = ['json', 'html', 'pdf', 'ocsf', 'cloudevents'] as const;
type Format = (typeof formats)[number];

interface ExportFlags extends IndexFlags, Selection {
  format: Format;
  out?: string;
  witness?: string[];
  deploymentKey?: string;
}

const formatOf = (text: string): Format => {
  const found = formats.find((format) => format === text);
  if (!found) throw new InvalidArgumentError(`must be one of ${formats.join(', ')}`);
  return found;
};
const gather = (value: string, before: string[] = []): string[] => [...before, value];

/** What was asked for, in words. */
const askedText = ({ from, to, ...equal }: Selection): string =>
  [
    ...Object.entries(equal).map(([name, value]) => `${name} ${value}`),
    ...(from === undefined ? [] : [`from ${new Date(from).toISOString()} on`]),
    ...(to === undefined ? [] : [`before ${new Date(to).toISOString()}`]),
  ].join(', ');

/** The key that the log itself says is the deployment's: on a page it is shown, to be compared with what is known of it. */
const deploymentKeyIn = ({ keys, entries }: Excerpt): string => {
  for (const { entry } of [...keys, ...entries].sort((a, b) => a.index - b.index)) {
    const { type, data } = eventOf(entry);
    if (type === 'agentgate.key.added.v1' && data.service === 'deployment') return String(data.key);
  }
  throw new CliError('the log says nothing of its deployment’s key: give --deployment-key');
};

/** What stands on a page as a key is one. */
const checkKeys = ({ witness = [], deploymentKey }: ExportFlags) => {
  for (const each of witness) given('--witness', () => parseVkey(each, NOTE_COSIGNATURE));
  if (deploymentKey !== undefined) given('--deployment-key', () => verifyingKey(deploymentKey));
};

const pageFrom = (
  ctx: CliContext,
  excerpt: Excerpt,
  { flags, selection, madeAt }: { flags: ExportFlags; selection: Selection; madeAt: string },
) => {
  const own = flags.log === undefined ? readStatus(ctx.home).witness?.vkey : undefined;
  const name = basename(flags.out ?? 'evidence.html');
  return pageOf(excerpt, {
    title: `Evidence: ${askedText(selection)}`,
    asked: askedText(selection),
    madeAt,
    witnesses: flags.witness ?? (own === undefined ? [] : [own]),
    deploymentKey: flags.deploymentKey ?? deploymentKeyIn(excerpt),
    file: flags.format === 'pdf' ? `${name.replace(/\.\w+$/, '')}.json` : name,
  });
};

const exportEvidence = (ctx: CliContext, flags: ExportFlags): Promise<number> =>
  withIndexedLog(ctx, flags, async (log, index) => {
    const selection = selectionOf(flags);
    checkKeys(flags);
    if (Object.keys(selection).length === 0)
      throw new CliError('say what to export: --session, --agent, --tool, --call, --incident, --from, --to …');
    const { format, out } = flags;
    if (format === 'pdf' && out === undefined) throw new CliError('--out is missing: a PDF goes into a file');
    const rows = await selectEvents(log, index, selection);
    const madeAt = new Date().toISOString();
    const about = { asked: selection, made_at: madeAt, log_size: log.checkpoint.size };
    const excerpt = await excerptOf(log, index, { rows, about });
    const page = () => pageFrom(ctx, excerpt, { flags, selection, madeAt });
    if (format === 'pdf' && out !== undefined) writeOut(out, await printPdf(page(), ctx.environment.PATH));
    else if (format !== 'pdf') {
      const text = format === 'html' ? page() : `${JSON.stringify(inFormat(format, excerpt), null, 1)}\n`;
      if (out === undefined) process.stdout.write(text);
      else writeOut(out, text);
    }
    if (out !== undefined)
      ctx.answer({ out, format, events: rows.length }, () => `${out}: ${rows.length} events, each with its proof`);
    return 0;
  });

const inFormat = (format: Exclude<Format, 'html' | 'pdf'>, excerpt: Excerpt): object => {
  if (format === 'ocsf') return ocsfEventsOf(excerpt);
  return format === 'cloudevents' ? cloudEventsOf(excerpt) : excerpt;
};

/** `agentgate evidence export`: some events with everything that it takes to verify them, for whoever has no log. */
export const registerExport = (evidence: Command, run: Run): void => {
  withSelection(withLogOptions(evidence.command('export')))
    .description('events with their proofs, the checkpoint and its cosignatures, in one file')
    .requiredOption('--format <format>', formats.join(', '), formatOf)
    .option('--out <file>', 'write it there (default: stdout)')
    .option('--witness <vkey>', 'a witness whose cosignature a page checks (default: the running stack’s)', gather)
    .option('--deployment-key <key>', 'the deployment’s key that a page shows (default: as the log says)')
    .action(run((ctx, flags: ExportFlags) => exportEvidence(ctx, flags)));
};
