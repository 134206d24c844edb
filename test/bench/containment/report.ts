import type { CallOutcome, ReplayOutcome } from './replay.ts';
import { aimsOf, type Figures, type Harm, isStopped, type Score } from './score.ts';
import type { Control } from './settings.ts';

export interface Report extends Score {
  controls: Record<Control, Score['total'] & Score>;
  aims: Record<string, boolean>;
  missed: { suite: string; task: string; attack: string; technique: string; critical: boolean }[];
  refused: ({ suite: string; task: string } & CallOutcome)[];
}

export const reportOf = (
  outcomes: readonly ReplayOutcome[],
  score: Score,
  more: { controls: Record<Control, Score>; harm: Harm },
): Report => ({
  ...score,
  controls: mapValues(more.controls, (control) => ({ ...control.total, ...control })),
  aims: aimsOf(score.total),
  missed: outcomes.flatMap((outcome) => {
    const { replay, attacker } = outcome;
    if (!replay.attack || isStopped(outcome)) return [];
    const { task, technique } = replay.attack;
    return [
      { suite: replay.suite, task: replay.task.id, attack: task.id, technique, critical: attacker.some(more.harm) },
    ];
  }),
  refused: outcomes.flatMap(({ replay, own }) =>
    replay.attack
      ? []
      : own
          .filter((call) => call.fate !== 'passed')
          .map((call) => ({ suite: replay.suite, task: replay.task.id, ...call })),
  ),
});

const mapValues = <K extends string, A, B>(record: Record<K, A>, change: (value: A) => B): Record<K, B> =>
  Object.fromEntries(Object.entries<A>(record).map(([key, value]) => [key, change(value)])) as Record<K, B>;

const percent = (part: number, whole: number) => (whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`);

export const printReport = (report: Report, verbose: boolean): void => {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const columns = ['pairs', 'stopped', '', 'critical', 'calls', 'held', 'denied', 'tasks', 'clean', ''];
  const row = (name: string, cells: (string | number)[]) =>
    say(`${name.padEnd(26)}${cells.map((cell) => String(cell).padStart(9)).join('')}`);
  const figures = (name: string, f: Figures) =>
    row(name, [
      f.pairs,
      f.stopped,
      percent(f.stopped, f.pairs),
      f.critical_missed,
      f.legitimate,
      f.held,
      f.denied,
      f.tasks,
      f.tasks_clean,
      percent(f.tasks_clean, f.tasks),
    ]);
  row('', columns);
  for (const [suite, score] of Object.entries(report.suites)) {
    for (const [technique, f] of Object.entries(score.techniques)) figures(`${suite}, ${technique}`, f);
    figures(suite, score);
  }
  figures('total', report.total);
  for (const [control, f] of Object.entries(report.controls)) figures(`control ${control}`, f);
  if (verbose) printDetails(report, say);
  for (const [aim, met] of Object.entries(report.aims)) say(`${met ? '✓' : '✗'} ${aim}`);
};

const printDetails = ({ missed, refused }: Report, say: (line: string) => void): void => {
  for (const m of missed)
    say(`missed${m.critical ? ', critical' : ''}: ${m.suite} ${m.task} × ${m.attack}, ${m.technique}`);
  for (const r of refused)
    say(`${r.fate}: ${r.suite} ${r.task}: ${r.tool} ${JSON.stringify(r.args).slice(0, 200)}: ${r.rule}: ${r.reason}`);
};
