import { type Gap, gaps, type ReplayReport } from '@agentgate/policy-engine';
import { visible } from '../commands/approvals.ts';
import type { Paint } from '../context.ts';

export const changeNames = {
  denied: 'would now be denied',
  held: 'would now be held for approval',
  allowed: 'would now be allowed',
  other_rule: 'the same, for another reason',
} as const;
export const changes = ['denied', 'held', 'allowed', 'other_rule'] as const;

export const gapName = (gap: string): string => gaps[gap as Gap];

const number = (n: number, width: number) => String(n).padStart(width);

/** The report for a terminal. */
export const tellReport = (
  report: ReplayReport,
  paint: Pick<Paint, 'bold' | 'dim' | 'red' | 'green' | 'yellow'>,
): string => {
  const color = { denied: paint.red, held: paint.yellow, allowed: paint.green, other_rule: paint.dim };
  const lines = [
    `${paint.bold(report.policy.revision)} on ${report.calls} recorded calls${report.from === undefined ? '' : `, ${report.from} to ${report.to}`}`,
    `  ${number(report.same, 6)} decided the same`,
    ...changes
      .filter((change) => report.changes[change] > 0)
      .map((change) => `  ${color[change](number(report.changes[change], 6))} ${changeNames[change]}`),
  ];
  const elsewhere = Object.entries(report.settled_elsewhere);
  if (elsewhere.length > 0)
    lines.push(
      `  ${number(
        elsewhere.reduce((total, [, count]) => total + count, 0),
        6,
      )} not decided by policy then: ${elsewhere.map(([code, count]) => `${count} ${code}`).join(', ')}`,
    );
  if (report.unfaithful.calls > 0) {
    lines.push(
      `  ${paint.yellow(number(report.unfaithful.calls, 6))} cannot be replayed faithfully, and stand in no number above:`,
    );
    for (const [gap, count] of Object.entries(report.unfaithful.because))
      lines.push(`         ${count}: ${gapName(gap)}`);
  }
  if (report.by_exception > 0)
    lines.push(`  ${number(report.by_exception, 6)} of all passed by an exception, and were replayed with it`);
  if (report.groups.length > 0) lines.push('', paint.bold('by rule and agent'));
  for (const { change, rule, tenant, agent, count } of report.groups.slice(0, 40))
    lines.push(
      `  ${number(count, 6)} ${color[change](changeNames[change].padEnd(31))} ${visible(rule)}  ${tenant}/${agent}`,
    );
  for (const change of changes) {
    const examples = report.examples[change] ?? [];
    if (examples.length === 0) continue;
    lines.push('', paint.bold(changeNames[change]));
    for (const { event, at, tool, tenant, agent, was, now } of examples)
      lines.push(
        `  ${at} ${visible(tool)} by ${tenant}/${agent}  ${paint.dim(event)}`,
        `    ${was.action} ${was.code}${was.rule === undefined ? '' : ` (${visible(was.rule)})`} → ${now.action} ${now.code}: ${visible(now.reason)}`,
      );
  }
  return lines.join('\n');
};
