import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Command, CommanderError } from 'commander';
import { expect, test } from 'vitest';
import { createContext } from '../../src/context.ts';
import { createProgram } from '../../src/program.ts';

// What a program reads that asked for JSON and was misspelt itself.

const throwing = (command: Command): void => {
  command.exitOverride();
  for (const child of command.commands) throwing(child);
};

/** What the command said, and its exit code. */
const run = async (...args: string[]) => {
  const said = { out: [] as string[], err: [] as string[] };
  const program = createProgram((flags) => ({
    ...createContext(flags),
    out: (text) => void said.out.push(text),
    err: (text) => void said.err.push(text),
  }));
  throwing(program);
  const ended = await program.parseAsync(args, { from: 'user' }).then(
    () => expect.fail('it was taken'),
    (error: unknown) => error,
  );
  if (!(ended instanceof CommanderError)) throw ended;
  return { ...said, code: ended.exitCode };
};

test.each<[string, string[], string]>([
  ['an unknown option', ['status', '--bogus'], "unknown option '--bogus'"],
  ['one that is close to another', ['up', '--confi', 'x'], "unknown option '--confi' (Did you mean --config?)"],
  ['a missing argument', ['agent', 'rm'], "missing required argument 'name'"],
  ['a missing option', ['kill', 'global'], "required option '--reason <text>' not specified"],
  ['an unknown command', ['killl'], "unknown command 'killl' (Did you mean one of kill, kills?)"],
  ['an unknown command of a group', ['agent', 'ad'], "unknown command 'ad' (Did you mean add?)"],
  ['a group without a command', ['agent'], 'agent: a command is missing'],
  ['no command', [], 'a command is missing'],
  [
    'what an option does not take',
    ['up', '--port-base', '\u001b[31m'],
    expect.stringMatching(/^option '--port-base <n>' argument '\\u\{1b\}\[31m' is invalid\. must be a number from/),
  ],
])('under --json %s is one line of JSON where answers are', async (_, args, error) => {
  for (const asked of [
    ['--json', ...args],
    [...args, '--json'],
  ]) {
    const { out, err, code } = await run(...asked);
    expect({ code, err, told: out.map((text) => JSON.parse(text)) }).toEqual({ code: 1, err: [], told: [{ error }] });
    expect(out[0]).not.toContain('\n');
  }
});

const cli = fileURLToPath(new URL('../../bin/agentgate.mjs', import.meta.url));
const spawned = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', timeout: 60_000 });
  return { status, stdout, stderr };
};

test('the command itself says so, too, with the exit code of each command', { timeout: 120_000 }, () => {
  expect(spawned('evidence', 'verify', '--bogus', '--json')).toEqual({
    status: 2,
    stdout: `${JSON.stringify({ error: "unknown option '--bogus'" })}\n`,
    stderr: '',
  });
  expect(spawned('--json', 'agent')).toEqual({
    status: 1,
    stdout: `${JSON.stringify({ error: 'agent: a command is missing' })}\n`,
    stderr: '',
  });
});

test('people read it on stderr, and where to read more; help that was asked for is help', { timeout: 120_000 }, () => {
  expect(spawned('status', '--bogus')).toEqual({
    status: 1,
    stdout: '',
    stderr: "error: unknown option '--bogus'\n(agentgate --help tells more)\n",
  });
  expect(spawned('--json', 'agent', '--help')).toMatchObject({
    status: 0,
    stderr: '',
    stdout: expect.stringMatching(/^Usage:/),
  });
});
