import type { EvidenceEvent } from '@agentgate/evidence';
import type { Paint } from '../context.ts';
import type { ReadEntry } from './read.ts';

type Fields = Record<string, unknown>;

/** What was signed may still want to move a terminal's cursor or turn the text around. */
const printable = (value: unknown): string => (typeof value === 'string' ? value.replace(/[\p{Cc}\p{Cf}]/gu, '·') : '');
const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});

/** `agentgate.call.decided.v1` → `call.decided` */
const shortType = (type: string) => type.replace(/^agentgate\./, '').replace(/\.v1$/, '');

const scopeText = ({ kind, id }: Fields) =>
  kind === undefined ? '' : [printable(kind), printable(id)].filter(Boolean).join(' ');

/** The tool, scope, lease or producer that an event is about. */
const subjectOf = (event: EvidenceEvent): string => {
  const data: Fields = event.data;
  const scope = scopeText(fieldsOf(data.scope));
  return (
    printable(data.tool) ||
    scope ||
    printable(data.lease) ||
    printable(data.about) ||
    printable(data.service) ||
    printable(event.subject)
  );
};

const codeOf = ({ data }: EvidenceEvent): string =>
  printable(fieldsOf(data.decision).code) ||
  printable(data.code) ||
  printable(data.outcome) ||
  printable(data.kind) ||
  printable(data.why);

const pad = (text: string, width: number) => text.padEnd(width);

/** One line of the table, and one more for each problem. */
export const entryLine = (
  paint: Pick<Paint, 'green' | 'red' | 'dim'>,
  { index, entry, problems }: ReadEntry,
): string => {
  const mark = problems.length === 0 ? paint.green('✓') : paint.red('✗');
  const at = pad(Number.isSafeInteger(index) ? String(index) : '?', 7);
  const more = problems.map((problem) => `\n        ${paint.red(printable(problem))}`).join('');
  if (!entry) return `${paint.dim(at)} ${mark} ${paint.red('not to be believed')}${more}`;
  const { event } = entry;
  const columns = [
    event.time,
    pad(shortType(printable(event.type)), 18),
    pad(printable(event.agent) || '-', 12),
    pad(subjectOf(event), 32),
    codeOf(event),
  ];
  return `${paint.dim(at)} ${mark} ${columns.join('  ').trimEnd()}${more}`;
};

/** The same for programs: one JSON object a line. */
export const entryJson = ({ index, leafHash, entry, problems }: ReadEntry): object => ({
  index: Number.isSafeInteger(index) ? index : null,
  leaf_hash: leafHash,
  verified: problems.length === 0,
  ...(problems.length > 0 && { problems }),
  ...entry,
});
