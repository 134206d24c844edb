import type { Bus } from '@agentgate/bus';
import {
  agentSubject,
  agentVerbs,
  type CallAsk,
  callAsk,
  firstProblem,
  parseStrict,
  toAgentGateError,
  toolName,
} from '@agentgate/contracts';
import { agentUser } from '@agentgate/ground';
import { type Command, InvalidArgumentError } from 'commander';
import { CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { withUser } from '../stack.ts';
import { registerClearTaint } from './clear-taint.ts';
import { tellReply } from './tell-reply.ts';

const jsonOrText = (text: string): unknown => {
  try {
    JSON.parse(text);
    return strictly(`{"value":${text}}`).value;
  } catch {
    return text;
  }
};
/** As the gate reads it: else a key that stands there twice or a rounded number would never reach it as it was given here. */
const strictly = (text: string) => parseStrict(new TextEncoder().encode(text));

/** One JSON object, or `key=value` words, whose values are JSON where they parse as such and text otherwise. */
export const parseArguments = (words: readonly string[]): Record<string, unknown> => {
  if (words.length === 1 && words[0]?.trimStart().startsWith('{')) {
    try {
      return strictly(words[0]);
    } catch (cause) {
      const { code, message } = toAgentGateError(cause);
      throw new CliError(code === 'FIELD_INVALID' ? `arguments${message}` : 'the arguments are not JSON', { cause });
    }
  }
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at < 1) throw new CliError(`${word}: arguments are one JSON object, or words of the form key=value`);
      return [word.slice(0, at), jsonOrText(word.slice(at + 1))];
    }),
  );
};

const duration = (text: string): number => {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError('must be like 500ms, 30s, 10m, 2h');
  return ms;
};
const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Milliseconds of `500ms`, `30s`, `10m`, `2h`, `7d`. */
export const parseDuration = (text: string): number | undefined => {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  return match ? Number(match[1]) * (units[match[2] ?? ''] ?? 0) : undefined;
};

export const openSession = async (
  bus: Bus,
  agent: string,
  purpose?: string,
): Promise<{ session: string; expires_at: string }> => {
  const opened = await bus.ask(
    agentVerbs.session,
    { v: 1, ...(purpose === undefined ? {} : { purpose }) },
    { subject: agentSubject(agent, 'session') },
  );
  if ('session' in opened) return { session: opened.session, expires_at: opened.expires_at };
  throw new CliError(`no session: ${opened.status} ${opened.code}: ${opened.reason}`);
};

interface CallFlags {
  agent: string;
  tenant: string;
  session?: string;
  purpose?: string;
  key?: string;
  timeout?: number;
}

const askOf = (session: string, tool: string, args: Record<string, unknown>, flags: CallFlags): CallAsk => {
  const parsed = callAsk.safeParse({
    v: 1,
    session,
    tool,
    arguments: args,
    ...(flags.key === undefined ? {} : { key: flags.key }),
    ...(flags.timeout === undefined ? {} : { timeout_ms: flags.timeout }),
  });
  if (!parsed.success) throw new CliError(firstProblem(parsed.error).replace(/^\//, ''));
  return parsed.data;
};

export const registerCall = (program: Command, run: Run): void => {
  program
    .command('call')
    .description('call a tool as an agent, through the gate')
    .argument('<tool>', 'its full name, <server>/<tool>')
    .argument('[arguments...]', 'one JSON object, or key=value words')
    .option('--agent <name>', 'who calls', 'demo')
    .option('--tenant <name>', "the agent's tenant", 'default')
    .option('--session <id>', 'in this session (default: a new one)')
    .option('--purpose <text>', 'what the new session is for')
    .option('--key <text>', 'idempotency key: the same key runs once')
    .option('--timeout <duration>', 'give up after, e.g. 30s', duration)
    .addHelpText('after', '\nExit code 0 where the tool ran and succeeded, else 1.')
    .action(
      run(async (ctx, tool: string, words: string[], flags: CallFlags) => {
        if (!toolName.safeParse(tool).success) throw new CliError(`${tool}: must be <server>/<tool>`);
        const args = parseArguments(words);
        return withUser(ctx.home, agentUser(flags.tenant, flags.agent), async (bus) => {
          const session = flags.session ?? (await openSession(bus, flags.agent, flags.purpose)).session;
          const ask = askOf(session, tool, args, flags);
          const reply = await bus.ask(agentVerbs.call, ask, {
            subject: agentSubject(flags.agent, 'call'),
            timeoutMs: (flags.timeout ?? 30_000) + 10_000,
          });
          ctx.answer({ session, ...reply }, () => tellReply(ctx, reply));
          return reply.status === 'ok' ? 0 : 1;
        });
      }),
    );
};

export const registerSession = (program: Command, run: Run): void => {
  const session = program.command('session').description('sessions of agents');
  registerClearTaint(session, run);
  session
    .command('open')
    .description('open a session and print its id')
    .option('--agent <name>', 'whose', 'demo')
    .option('--tenant <name>', "the agent's tenant", 'default')
    .option('--purpose <text>', "what the agent's user asked for")
    .action(
      run(async (ctx, flags: { agent: string; tenant: string; purpose?: string }) =>
        withUser(ctx.home, agentUser(flags.tenant, flags.agent), async (bus) => {
          const opened = await openSession(bus, flags.agent, flags.purpose);
          ctx.answer(opened, () => opened.session);
          return 0;
        }),
      ),
    );
};
