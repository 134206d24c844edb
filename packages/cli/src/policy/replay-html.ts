import type { ReplayExample, ReplayReport } from '@agentgate/policy-engine';
import { visible } from '../commands/approvals.ts';
import { changeNames, changes, gapName } from './replay-text.ts';

// The report as one file that needs nothing else: no script, no font, nothing from elsewhere. It reads in black and white, too.

/** Recorded calls are an attacker's words: none of them is markup, and none hides. */
const text = (value: string | number): string =>
  visible(String(value)).replace(
    /[&<>"']/g,
    (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[char] ?? '',
  );

const signs = { denied: '✕', held: '‖', allowed: '✓', other_rule: '≈' } as const;

const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --denied: #b3261e; --held: #8a5a00; --allowed: #1b6e37; --other: #5a5a5a }
@media (prefers-color-scheme: dark) { :root { --denied: #ff9d95; --held: #f2c062; --allowed: #7fd89b; --other: #b8b8b8 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere }
p.lead { margin: .25rem 0 1.25rem }
ul.totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; padding: 0; list-style: none }
ul.totals li { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .9rem }
ul.totals b { display: block; font-size: 1.7rem; line-height: 1.2; font-variant-numeric: tabular-nums }
.denied { color: var(--denied) } .held { color: var(--held) } .allowed { color: var(--allowed) } .other_rule { color: var(--other) }
div.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; margin-bottom: 1rem } time { white-space: nowrap } caption { text-align: left; font-weight: 600; padding: .4rem 0 }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line) }
thead th { background: var(--soft) } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
@media print { body { margin: 0; max-width: none; font-size: 10pt } tr, li { break-inside: avoid } thead { display: table-header-group } div.wide { overflow: visible } }
`;

const total = (counts: Record<string, number | undefined>): number =>
  Object.values(counts).reduce<number>((sum, count) => sum + (count ?? 0), 0);

const card = (label: string, count: number, kind = '', sign = ''): string =>
  `<li><b${kind ? ` class="${kind}"` : ''}>${sign ? `<span aria-hidden="true">${sign} </span>` : ''}${text(count)}</b>${text(label)}</li>`;

const table = (caption: string, heads: string[], rows: string[][], numbers: readonly number[]): string => {
  const cell = (tag: 'td' | 'th', content: string, i: number) =>
    `<${tag}${tag === 'th' ? ' scope="col"' : ''}${numbers.includes(i) ? ' class="n"' : ''}>${content}</${tag}>`;
  return `<div class="wide" tabindex="0" role="region" aria-label="${text(caption)}"><table><caption>${text(caption)}</caption>
<thead><tr>${heads.map((head, i) => cell('th', text(head), i)).join('')}</tr></thead>
<tbody>${rows.map((row) => `<tr>${row.map((content, i) => cell('td', content, i)).join('')}</tr>`).join('\n')}</tbody></table></div>`;
};

const verdict = ({ action, code, rule }: ReplayExample['was']): string =>
  `${text(action)} <code>${text(code)}</code>${rule === undefined ? '' : `<br>rule <code>${text(rule)}</code>`}`;

const exampleRows = (examples: readonly ReplayExample[]): string[][] =>
  examples.map(({ at, tool, tenant, agent, event, was, now }) => [
    `<time datetime="${text(at)}">${text(at)}</time>`,
    `<code>${text(tool)}</code><br>${text(tenant)}/${text(agent)}<br><code>${text(event)}</code>`,
    verdict(was),
    `${verdict(now)}<br>${text(now.reason)}`,
  ]);

const groupsOf = ({ groups }: ReplayReport): string =>
  groups.length === 0
    ? '<p>No call would be decided otherwise.</p>'
    : table(
        'Changes by rule and agent',
        ['Calls', 'Change', 'Rule', 'Agent'],
        groups.map(({ change, rule, tenant, agent, count }) => [
          text(count),
          `<span class="${change}"><span aria-hidden="true">${signs[change]} </span>${text(changeNames[change])}</span>`,
          `<code>${text(rule)}</code>`,
          `${text(tenant)}/${text(agent)}`,
        ]),
        [0],
      );

const leftOut = ({ settled_elsewhere, unfaithful, refused }: ReplayReport & { refused: number }): string => {
  const rows = [
    ...Object.entries(settled_elsewhere).map(([code, count]) => [
      text(count),
      `not decided by policy when it was made: <code>${text(code)}</code>`,
    ]),
    ...Object.entries(unfaithful.because).map(([gap, count]) => [text(count ?? 0), text(gapName(gap))]),
    ...(refused > 0 ? [[text(refused), 'entries of evidence that cannot be believed: their seal is not good']] : []),
  ];
  return rows.length === 0
    ? '<p>Nothing: every recorded call was decided again by all that its decision rests on.</p>'
    : `<p>These stand in none of the numbers of changes; a call may stand under several reasons.</p>${table('Calls that were not replayed', ['Calls', 'Why'], rows, [0])}`;
};

export const reportHtml = (report: ReplayReport & { refused: number }, madeAt: string): string => {
  const { policy, calls, from, to } = report;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Replay of ${text(policy.revision)}</title><style>${style}</style></head>
<body><main>
<h1>Replay of policy <code>${text(policy.revision)}</code></h1>
<p class="lead">${text(calls)} recorded calls${from === undefined ? '' : `, <time>${text(from)}</time> to <time>${text(to ?? '')}</time>`}, decided again. Made ${text(madeAt)}. Digest <code>${text(policy.digest)}</code>.</p>
<ul class="totals" aria-label="Totals">
${changes.map((change) => card(changeNames[change], report.changes[change], change, signs[change])).join('\n')}
${card('decided the same', report.same)}
${card('not replayed', report.unfaithful.calls + total(report.settled_elsewhere))}
</ul>
<h2>What changes</h2>
${groupsOf(report)}
${changes
  .filter((change) => (report.examples[change] ?? []).length > 0)
  .map((change) =>
    table(
      `Examples: ${changeNames[change]}`,
      ['When', 'Call', 'Was', 'Would be'],
      exampleRows(report.examples[change] ?? []),
      [],
    ),
  )
  .join('\n')}
<h2>What this does not say</h2>
${leftOut(report)}
${report.by_exception > 0 ? `<p>Calls that passed by an operator's exception, and were replayed with it: ${text(report.by_exception)}.</p>` : ''}
<p>Agents' labels and tools' descriptions are those of today. Rate limits are not counted again, and a person's word counts as it was given.</p>
</main></body></html>
`;
};
