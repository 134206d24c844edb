import {
  operatorSubject,
  operatorVerbs,
  type ToolDefinition,
  type ToolFlag,
  type ToolShown,
  type ToolState,
  type ToolVerdictAnswer,
} from '@agentgate/contracts';
import type { Command } from 'commander';
import { diffLines } from 'diff';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { withUser } from '../stack.ts';
import { visible } from './approvals.ts';

type Painter = Pick<CliContext, 'paint'>;
interface Flags {
  as: string;
  digest?: string;
  reason?: string;
}

const tellFlag = (flag: ToolFlag): string => {
  switch (flag.kind) {
    case 'hidden_characters':
      return `hidden characters at ${visible(flag.at)}: ${flag.found}`;
    case 'reads_the_same':
      return `its name reads the same as ${visible(flag.as)}`;
    case 'similar_name':
      return `its name is similar to ${visible(flag.as)}`;
    default:
      return flag satisfies never;
  }
};
const because = {
  changed: 'its definition has changed',
  flagged: 'something is odd about it',
  new: 'it is new',
  not_the_pin: 'agentgate.yaml pins another definition',
} as const;

const tellState = (
  { paint }: Painter,
  { tool, state, listed, accepted, offered, why, flags, by }: ToolState,
): string => {
  const color = { pinned: paint.green, quarantined: paint.red, rejected: paint.yellow }[state];
  const digest = (state === 'pinned' ? accepted : offered) ?? '';
  const details = [
    ...(why === undefined ? [] : [because[why]]),
    ...(by === undefined ? [] : [`by ${visible(by)}`]),
    ...(listed ? [] : ['its server does not list it now']),
  ];
  return [
    `${color(state.padEnd(11))} ${visible(tool).padEnd(40)} ${paint.dim(digest.slice(0, 16))}  ${paint.dim(details.join(', '))}`.trimEnd(),
    ...flags.map((flag) => `            ${paint.yellow(tellFlag(flag))}`),
  ].join('\n');
};

/** What an agent is told, a line each, with members in order: what is equal looks equal. */
const linesOf = (definition: ToolDefinition | undefined): string =>
  definition === undefined
    ? ''
    : [
        `name: ${definition.name}`,
        'description:',
        ...definition.description.split('\n').map((line) => `  ${line}`),
        'input_schema:',
        ...jsonLines(definition.input_schema),
        'annotations:',
        ...jsonLines(definition.annotations),
        '',
      ].join('\n');
const jsonLines = (value: unknown): string[] =>
  JSON.stringify(inOrder(value), null, 2)
    .split('\n')
    .map((line) => `  ${line}`);
const inOrder = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, inOrder(v)]),
  );
};

/** The diff of what was accepted and what is offered, whole, with what hides in it made visible. */
export const tellDiff = ({ paint }: Painter, { accepted, offered }: Pick<ToolShown, 'accepted' | 'offered'>): string =>
  diffLines(linesOf(accepted), linesOf(offered))
    .flatMap(({ value, added, removed }) =>
      value
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => {
          const shown = `${added ? '+' : removed ? '-' : ' '} ${visible(line)}`;
          return added ? paint.green(shown) : removed ? paint.red(shown) : paint.dim(shown);
        }),
    )
    .join('\n');

const tellTool = (ctx: Painter, shown: ToolShown): string => {
  const { state, accepted, offered } = shown;
  const head = tellState(ctx, state);
  if (!offered) return [head, '', linesOf(accepted).split('\n').map(visible).join('\n')].join('\n');
  return [
    head,
    '',
    accepted ? '- as it was accepted, + as its server lists it' : 'nothing of it was accepted yet; its server lists',
    '',
    tellDiff(ctx, shown),
    '',
    `agentgate tools accept ${state.tool} --digest ${state.offered}`,
    `agentgate tools reject ${state.tool} --digest ${state.offered}`,
  ].join('\n');
};

const says: Record<ToolVerdictAnswer['status'], string> = {
  accepted: 'accepted: it may be called as it was shown',
  rejected: 'rejected: it may not be called as it was shown',
  not_offered: 'this definition does not wait (any more): `tools show` tells what does',
  pinned_by_file: 'agentgate.yaml pins another definition of it: change it there',
  not_found: 'no such tool was ever listed',
};

export const registerTools = (program: Command, run: Run): void => {
  const as = ['--as <person>', 'whose credentials to use', 'operator'] as const;
  const tools = program
    .command('tools')
    .description('the tools and whether they may be called; exit code 2 while one waits for an operator')
    .option(...as)
    .action(
      run(async (ctx, flags: Flags) =>
        withUser(ctx.home, flags.as, async (bus) => {
          const answer = await bus.ask(operatorVerbs.tools, { v: 1 }, { subject: operatorSubject(flags.as, 'tools') });
          if (!('tools' in answer)) throw new CliError(`${answer.code}: ${answer.reason}`);
          const { tools: all, more } = answer;
          ctx.answer(answer, () =>
            all.length === 0
              ? 'no server has listed a tool yet'
              : [...all.map((one) => tellState(ctx, one)), ...(more === undefined ? [] : [`and ${more} more`])].join(
                  '\n',
                ),
          );
          return all.some(({ state }) => state === 'quarantined') ? 2 : 0;
        }),
      ),
    );
  tools
    .command('show')
    .description('a tool in full, and how what is offered differs from what was accepted')
    .argument('<tool>', '<server>/<tool>')
    .option(...as)
    .action(
      run(async (ctx, tool: string, flags: Flags) =>
        withUser(ctx.home, flags.as, async (bus) => {
          const subject = operatorSubject(flags.as, 'tool');
          const answer = await bus.ask(operatorVerbs.tool, { v: 1, tool }, { subject });
          if ('code' in answer) throw new CliError(`${answer.code}: ${answer.reason}`);
          ctx.answer(answer, () => tellTool(ctx, answer));
          return answer.state.state === 'quarantined' ? 2 : 0;
        }),
      ),
    );
  for (const [verb, wanted, does] of [
    ['accept', 'accepted', 'let it be called as `tools show` showed it'],
    ['reject', 'rejected', 'what was accepted before stays the only one'],
  ] as const)
    tools
      .command(verb)
      .description(does)
      .argument('<tool>', '<server>/<tool>')
      .requiredOption('--digest <sha256>', 'of the definition that was shown: no other is meant')
      .option('--reason <text>', 'why; it stands in evidence')
      .option(...as)
      .action(
        run(async (ctx, tool: string, { as: person, digest = '', reason }: Flags) =>
          withUser(ctx.home, person, async (bus) => {
            const ask = { v: 1 as const, tool, schema_digest: digest, ...(reason !== undefined && { reason }) };
            const subject = operatorSubject(person, `tool-${verb}`);
            const answer = await bus.ask(operatorVerbs[`tool-${verb}`], ask, { subject });
            if ('code' in answer) throw new CliError(`${answer.code}: ${answer.reason}`);
            ctx.answer(answer, () => `${visible(tool)}: ${says[answer.status]}`);
            return answer.status === wanted ? 0 : 1;
          }),
        ),
      );
};
