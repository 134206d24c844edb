import type { Bus } from '@agentgate/bus';
import { type AlertsAnswer, type OpenAlert, operatorSubject, operatorVerbs } from '@agentgate/contracts';
import type { Command } from 'commander';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { withUser } from '../stack.ts';
import { visible } from './approvals.ts';

const person = 'operator';

const span = (ms: number): string => {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
};

export const tellAlert = ({ paint }: Pick<CliContext, 'paint'>, alert: OpenAlert, now: number): string => {
  const { id, type, state, since, tries, next_at: next, problem } = alert;
  const then = state === 'dead' ? 'given up' : `next in ${span(Date.parse(next) - now)}`;
  return [
    `${state === 'dead' ? paint.red('dead   ') : paint.yellow('waiting')} ${id}`,
    paint.dim(`        ${visible(type)}, since ${since},\n        ${tries} ${tries === 1 ? 'try' : 'tries'}, ${then}`),
    ...(problem === undefined ? [] : [`        ${paint.red(visible(problem))}`]),
  ].join('\n');
};

const tellEndpoint = ({ paint }: CliContext, one: AlertsAnswer['endpoints'][number], now: number): string => {
  const dead = one.dead > 0 ? paint.red(`${one.dead} dead`) : '0 dead';
  const oldest = one.oldest === undefined ? '' : `, the oldest for ${span(now - Date.parse(one.oldest))}`;
  return `${paint.bold(one.endpoint)}  ${one.origin}  ${one.events.join(' ')}\n        ${one.waiting} waiting${oldest}, ${dead}`;
};

const ask = async (bus: Bus, state: 'waiting' | 'dead'): Promise<AlertsAnswer> => {
  const answer = await bus.ask(operatorVerbs.alerts, { v: 1, state }, { subject: operatorSubject(person, 'alerts') });
  if (!('alerts' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
  return answer;
};

/** The oldest; with 200 of them the endpoints would be out of sight. */
const alertsNamed = 10;
const tellAll = (ctx: CliContext, { alerts, more = 0 }: AlertsAnswer): string[] => {
  const told = alerts.slice(0, alertsNamed);
  const rest = more + alerts.length - told.length;
  return [
    ...told.map((alert) => tellAlert(ctx, alert, Date.now())),
    ...(rest > 0 ? [`and ${rest} more (--json names ${alerts.length})`] : []),
  ];
};

/** 2 where somebody was not told. */
const exitCode = ({ endpoints, alerts }: AlertsAnswer): number =>
  endpoints.some(({ dead }) => dead > 0) || alerts.some(({ state }) => state === 'dead') ? 2 : 0;

const registerRetry = (alerts: Command, run: Run): void => {
  alerts
    .command('retry')
    .description('try dead alerts again, for another day')
    .argument('<id>', 'as `alerts dead` shows it, or an endpoint for all of its dead ones')
    .action(
      run(async (ctx, alert: string) =>
        withUser(ctx.home, person, async (bus) => {
          const answer = await bus.ask(
            operatorVerbs['retry-alert'],
            { v: 1, alert },
            { subject: operatorSubject(person, 'retry-alert') },
          );
          if (!('retried' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
          ctx.answer(answer, () =>
            answer.retried === 0 ? 'nothing of that is dead' : `${answer.retried} tried again`,
          );
          return answer.retried === 0 ? 1 : 0;
        }),
      ),
    );
};

const registerTest = (alerts: Command, run: Run): void => {
  alerts
    .command('test')
    .description('send one alert that says it is a test, once; exit code 1 when it was not taken')
    .argument('<endpoint>', 'its name in agentgate.yaml')
    .action(
      run(async (ctx, endpoint: string) =>
        withUser(ctx.home, person, async (bus) => {
          const answer = await bus.ask(
            operatorVerbs['test-alert'],
            { v: 1, endpoint },
            { subject: operatorSubject(person, 'test-alert') },
          );
          if (!('ok' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
          ctx.answer(answer, () =>
            answer.ok
              ? `${ctx.paint.green('taken')} in ${Math.round(answer.ms)} ms: ${answer.id}`
              : `${ctx.paint.red('not taken')}: ${visible(answer.problem ?? 'no reason given')}`,
          );
          return answer.ok ? 0 : 1;
        }),
      ),
    );
};

export const registerAlerts = (program: Command, run: Run): void => {
  const alerts = program
    .command('alerts')
    .description('who is told of kills and alarms, and what is not delivered yet; exit code 2 while one is dead')
    .action(
      run(async (ctx) =>
        withUser(ctx.home, person, async (bus) => {
          const answer = await ask(bus, 'waiting');
          ctx.answer(answer, () =>
            answer.endpoints.length === 0 && answer.alerts.length === 0
              ? 'nobody is told: agentgate.yaml names no endpoint under alerts'
              : [...tellAll(ctx, answer), ...answer.endpoints.map((one) => tellEndpoint(ctx, one, Date.now()))].join(
                  '\n',
                ),
          );
          return exitCode(answer);
        }),
      ),
    );
  alerts
    .command('dead')
    .description('alerts that were given up, and why; exit code 2 when there is one')
    .action(
      run(async (ctx) =>
        withUser(ctx.home, person, async (bus) => {
          const answer = await ask(bus, 'dead');
          ctx.answer(answer, () => (answer.alerts.length === 0 ? 'none is dead' : tellAll(ctx, answer).join('\n')));
          return exitCode(answer);
        }),
      ),
    );
  registerRetry(alerts, run);
  registerTest(alerts, run);
};
