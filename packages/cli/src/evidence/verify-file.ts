import { readFileSync, statSync } from 'node:fs';
import {
  type Checkpoint,
  type Cosignature,
  type LogTrust,
  leafHash,
  parseExcerpt,
  readEntry,
  verifyExcerpt,
  verifyProof,
} from '@agentgate/evidence';
import { type CliContext, CliError } from '../context.ts';
import { shortType } from './index-row.ts';

/** What leaves the log as one file: an exported excerpt, or the C2SP proof of one entry, whose entry lies beside it. */
interface Handed {
  file: string;
  /** Of a proof only. */
  entry?: string | undefined;
  trust: LogTrust;
}

export const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
export const entryFileOf = (proof: string): string => `${proof}.entry`;

const maxBytes = 1024 ** 3;
const proofHead = 'c2sp.org/tlog-proof@v1\n';

interface Judged {
  index: number;
  id?: string;
  type?: string;
  fault?: string;
}

interface FileVerdict {
  ok: boolean;
  reason?: string;
  checkpoint?: Checkpoint | undefined;
  cosignatures: readonly Cosignature[];
  /** Who vouches for the keys that sealed the entries. */
  keys?: string;
  entries: Judged[];
}

/** Verifies a file by the verifier's keys alone; true where all of it is good. */
export const judgeFile = (ctx: CliContext, handed: Handed): boolean => {
  const { file, trust } = handed;
  const text = readText(file);
  const verdict = text.startsWith(proofHead) ? judgeProof(text, handed) : judgeExcerpt(text, trust);
  ctx.answer(asJson(verdict), () => asText(ctx, verdict, trust));
  return verdict.ok;
};

const readText = (file: string): string => {
  if (!isFile(file)) throw new CliError(`there is no file ${file}`);
  if (statSync(file).size > maxBytes) throw new CliError(`${file} is larger than 1 GiB`);
  return readFileSync(file, 'utf8');
};

const judgeProof = (proof: string, { file, entry = entryFileOf(file), trust }: Handed): FileVerdict => {
  const text = readText(entry);
  const { log, witnesses } = trust;
  const verdict = verifyProof(proof, { leafHash: leafHash(text), origin: log.name, keys: [log], witnesses });
  if (!verdict.ok) return { ok: false, reason: verdict.reason, cosignatures: [], entries: [] };
  const { checkpoint, cosignatures } = verdict;
  const read = readEntry(text);
  const index = verdict.proof.index;
  const judged = read.ok ? { index, id: read.event.id, type: read.event.type } : { index, fault: read.reason };
  return { ok: read.ok, checkpoint, cosignatures, entries: [judged] };
};

/** Of a page nothing counts but the excerpt that it holds: what it shows is for its own script to check. */
const pageStart = '<!doctype html>';
const excerptStart = '<script type="application/json" id="excerpt">';
const excerptOf = (text: string): string => {
  if (!text.startsWith(pageStart)) return text;
  const [, held, ...more] = text.split(excerptStart);
  if (held === undefined || more.length > 0) throw new CliError('the page does not hold one excerpt of a log');
  return held.slice(0, held.indexOf('</script>'));
};

const judgeExcerpt = (text: string, trust: LogTrust): FileVerdict => {
  const verdict = verifyExcerpt(parseExcerpt(excerptOf(text)), trust);
  if (!verdict.checkpoint) return { ok: false, reason: verdict.reason, cosignatures: [], entries: [] };
  const { ok, checkpoint, cosignatures, keyAuthority, entries } = verdict;
  return {
    ok,
    checkpoint,
    cosignatures,
    keys: keyAuthority,
    entries: entries.map(({ index, event, fault }) => ({
      index,
      ...(event && { id: event.id, type: event.type }),
      ...(fault !== undefined && { fault }),
    })),
  };
};

const asJson = ({ checkpoint, cosignatures, ...verdict }: FileVerdict): object => ({
  ...verdict,
  ...(checkpoint && {
    origin: checkpoint.origin,
    size: checkpoint.size,
    root: Buffer.from(checkpoint.root).toString('base64'),
  }),
  cosignatures: cosignatures.map(({ witness, time }) => ({
    witness: witness.name,
    time: new Date(time * 1000).toISOString(),
  })),
});

const printable = (text: string) => text.replace(/[\p{Cc}\p{Cf}]/gu, '·');
const authority = {
  given: 'the trust file that was given',
  deployment: 'the deployment’s key that was given',
  log: 'the log alone: give --deployment-key or --producers',
};

const asText = ({ paint }: CliContext, verdict: FileVerdict, { witnesses }: LogTrust): string => {
  const { ok, reason, checkpoint, cosignatures, keys, entries } = verdict;
  const bad = entries.filter(({ fault }) => fault !== undefined);
  if (!checkpoint) return `${paint.red('✗')} ${printable(reason ?? 'nothing of it can be verified')}`;
  const lines = ok
    ? [
        `${paint.green('✓')} ${entries.length} of ${checkpoint.size} entries of ${printable(checkpoint.origin)}, each in the log as it stands here`,
      ]
    : bad.map(({ index, fault }) => `${paint.red('✗')} entry ${index}: ${printable(fault ?? '')}`);
  if (ok && entries.length <= 5)
    for (const { index, id, type } of entries)
      lines.push(`  entry ${index}  ${printable(shortType(type ?? ''))}  ${printable(id ?? '')}`);
  lines.push(
    ...cosignatures.map(
      ({ witness, time }) => `  witness    ${witness.name} at ${new Date(time * 1000).toISOString()}`,
    ),
    ...(witnesses
      ? []
      : [`  ${paint.yellow('witness')}    none was asked for: this is the word of the log’s operator`]),
    keys === undefined
      ? '  seals      not looked at: a proof says that the log holds the entry, its seal says who wrote it'
      : `  keys       of those who sealed them by ${authority[keys as keyof typeof authority]}`,
  );
  return lines.join('\n');
};
