import type { Bus } from '@agentgate/bus';
import { type IncidentRecord, type IncidentState, operatorSubject, operatorVerbs } from '@agentgate/contracts';
import type { Command } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { withUser } from '../stack.ts';
import { visible } from './approvals.ts';
import { folded } from './folded.ts';
import { reasonText } from './kill.ts';
import { tellReceipt, tellScope } from './receipt.ts';

const person = 'operator';
type Speaker = Pick<CliContext, 'paint' | 'columns'>;

const words: Record<IncidentState, string> = {
  open: 'NOT ORDERED YET',
  contained: 'contained',
  not_contained: 'NOT CONTAINED',
  released: 'released',
};
const tellState = ({ paint }: Speaker, { state }: IncidentRecord): string => {
  const color = { open: paint.red, contained: paint.green, not_contained: paint.red, released: paint.dim }[state];
  return color(words[state]);
};
/** The column behind an indented timestamp. */
const afterTime = 2 + '2026-01-01T00:00:00.000Z'.length + 1;
const tellLine = (ctx: Speaker, incident: IncidentRecord): string => {
  const { id, state, scope, agent, opened_at: at } = incident;
  const whose = agent !== undefined && scope.kind === 'session' ? ` of agent ${agent}` : '';
  const what = `${tellScope(scope)}${whose}`;
  const isLong = `${id}  ${words[state]}  ${what}`.length > (ctx.columns ?? Number.POSITIVE_INFINITY);
  const reason = visible(incident.reason.replace(`, incident ${id}`, ''));
  return [
    `${id}  ${tellState(ctx, incident)}${isLong ? '\n' : ''}  ${what}`,
    `  ${ctx.paint.dim(at)}  ${folded(reason, afterTime + 1, ctx.columns)}`,
  ].join('\n');
};

/** One after the other, what led there and what became of it. */
const timelineOf = (incident: IncidentRecord): [at: string, what: string][] => {
  const { caused_at, opened_at, rule, receipt, received_at, problem, notes, released, events } = incident;
  const all: [string, string][] = [
    [caused_at, `rule ${rule} was met by ${events.length} ${events.length === 1 ? 'event' : 'events'}`],
    [opened_at, 'the incident was opened'],
    ...(receipt && received_at !== undefined
      ? ([
          [receipt.ordered_at, `the kill was ordered, epoch ${receipt.epoch}`],
          [received_at, receipt.contained ? 'the receipt says contained' : 'the receipt says NOT contained'],
        ] as [string, string][])
      : []),
    ...notes.map(({ at, by, text }): [string, string] => [at, `${by}: ${visible(text)}`]),
    ...(released ? [[released.at, `released by ${released.by}: ${visible(released.reason)}`] as [string, string]] : []),
  ];
  const timeline = all.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return problem === undefined ? timeline : [...timeline, ['now', `no receipt yet: ${visible(problem)}`]];
};

/** A line each: what can be looked up has to be copied, and no id may break at the window's edge. */
const tellEvents = (what: string, ids: readonly string[]): string[] =>
  ids.length === 0 ? [] : [`  ${what}`, ...ids.map((id) => `    ${id}`)];

export const tellIncident = (ctx: Speaker, incident: IncidentRecord): string => {
  const { receipt, events, evidence } = incident;
  const { opened, ordered, contained = [], failed, released } = evidence;
  const about = Object.entries({ opened, ordered, failed, released }).flatMap(([what, id]) =>
    id === undefined ? [] : [`${what.padEnd(9)} ${id}`],
  );
  return [
    tellLine(ctx, incident),
    ...timelineOf(incident).map(([at, what]) => `  ${ctx.paint.dim(at)} ${folded(what, afterTime, ctx.columns)}`),
    ...(receipt ? [tellReceipt(ctx, receipt)] : []),
    'evidence (agentgate evidence show <id>)',
    ...tellEvents(`led there by${events.length >= 32 ? ', at last' : ''}`, events),
    ...tellEvents('about it', [...about, ...contained.map((id) => `contained ${id}`)]),
  ].join('\n');
};

const ask = async (bus: Bus, as: string, body: { id?: string; all?: boolean }) => {
  const answer = await bus.ask(
    operatorVerbs.incidents,
    { v: 1, ...body },
    { subject: operatorSubject(as, 'incidents') },
  );
  if (!('incidents' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
  return answer;
};
const isAlarm = ({ state }: IncidentRecord) => state === 'open' || state === 'not_contained';

export const registerIncidents = (program: Command, run: Run): void => {
  const incidents = program
    .command('incidents')
    .description('what the gate stopped by itself; exit code 2 while the kill of one is not contained')
    .option('--all', 'those that are released, too')
    .action(
      run(async (ctx, flags: { all?: boolean }) =>
        withUser(ctx.home, person, async (bus) => {
          const answer = await ask(bus, person, flags.all === true ? { all: true } : {});
          const rest = answer.more === undefined ? [] : [`and ${answer.more} more`];
          ctx.answer(answer, () =>
            answer.incidents.length === 0
              ? 'no incident is open'
              : [...answer.incidents.map((incident) => tellLine(ctx, incident)), ...rest].join('\n'),
          );
          return answer.incidents.some(isAlarm) ? 2 : 0;
        }),
      ),
    );
  incidents
    .command('show')
    .description('the timeline, the receipt and the evidence of one; exit code 2 where its kill is not contained')
    .argument('<id>')
    .action(
      run(async (ctx, id: string) =>
        withUser(ctx.home, person, async (bus) => {
          const { incidents: found } = await ask(bus, person, { id });
          const incident = found[0];
          if (!incident) throw new CliError(`${id}: no such incident`);
          ctx.answer(incident, () => tellIncident(ctx, incident));
          return isAlarm(incident) ? 2 : 0;
        }),
      ),
    );
  incidents
    .command('release')
    .description('lift its kill; exit code 1 where it is not lifted (by this operator alone)')
    .argument('<id>')
    .requiredOption('--reason <text>', 'why; it stands in evidence', reasonText)
    .option('--as <operator>', 'whose credentials to use', person)
    .action(
      run(async (ctx, incident: string, flags: { reason: string; as: string }) =>
        withUser(ctx.home, flags.as, async (bus) => {
          const answer = await bus.ask(
            operatorVerbs.release,
            { v: 1, incident, reason: flags.reason },
            { subject: operatorSubject(flags.as, 'release') },
          );
          if ('code' in answer) throw new CliError(`${answer.code}: ${answer.reason}`);
          const told = {
            lifted: 'released: its kill is lifted',
            not_killed:
              'its kill does not stand; where its scope is killed all the same, somebody else ordered that (`kills`)',
            pending_second: 'noted; a second operator has to release it, too, within 5 minutes',
          };
          ctx.answer(answer, () => told[answer.status]);
          return answer.status === 'lifted' ? 0 : 1;
        }),
      ),
    );
  incidents
    .command('note')
    .description('add a note to its timeline')
    .argument('<id>')
    .argument('<text>')
    .option('--as <operator>', 'whose credentials to use', person)
    .action(
      run(async (ctx, incident: string, text: string, flags: { as: string }) =>
        withUser(ctx.home, flags.as, async (bus) => {
          const answer = await bus.ask(
            operatorVerbs.note,
            { v: 1, incident, text },
            { subject: operatorSubject(flags.as, 'note') },
          );
          if ('code' in answer) throw new CliError(`${answer.code}: ${answer.reason}`);
          const told = { noted: 'noted', not_found: 'no such incident', full: 'it has 64 notes already' };
          ctx.answer(answer, () => told[answer.status]);
          return answer.status === 'noted' ? 0 : 1;
        }),
      ),
    );
};
