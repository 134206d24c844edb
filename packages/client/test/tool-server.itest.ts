import type { Batcher, Bus } from '@agentgate/bus';
import { type ToolCallAnswer, type ToolCallAsk, toolCancel } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serveTools, type ToolServer } from '../src/index.ts';

const config = JSON.stringify({
  v: 1,
  tenants: { default: { agents: { demo: {} } } },
  servers: { mine: { nats: { subject: 'tool.v1.mine' } } },
});
let ground: Ground;
let runner: Bus;
let servers: ToolServer[];
let call: Batcher<ToolCallAsk, ToolCallAnswer>;
const ran: string[] = [];
let count = 0;
const ask = (tool: string, more: Partial<ToolCallAsk> = {}): ToolCallAsk => ({
  call: `call_${String(count++).padStart(10, '0')}`,
  tool,
  arguments: {},
  deadline: Date.now() + 5_000,
  ...more,
});

beforeAll(async () => {
  ground = await startGround({ config, redis: false });
  const inputSchema = { type: 'object' };
  const tools = [
    {
      name: 'echo',
      description: 'Returns its text.',
      inputSchema,
      handler: (args: Record<string, unknown>) => {
        ran.push('echo');
        return String(args.text);
      },
    },
    {
      name: 'result',
      description: 'Returns a result.',
      inputSchema,
      annotations: { readOnlyHint: true },
      handler: () => ({ content: [], structuredContent: { a: 1 }, isError: true }),
    },
    {
      name: 'fail',
      description: 'Fails.',
      inputSchema,
      handler: () => {
        throw new Error('no such row');
      },
    },
    {
      name: 'slow',
      description: 'Stops when told.',
      inputSchema,
      handler: (_: unknown, { signal }: { signal: AbortSignal }) =>
        new Promise<string>((_resolve, reject) => {
          ran.push('slow');
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    },
    {
      name: 'deaf',
      description: 'Goes on when told to stop.',
      inputSchema,
      handler: () =>
        new Promise<string>((resolve) => {
          ran.push('deaf');
          setTimeout(resolve, 200, 'done all the same');
        }),
    },
  ];
  const serve = () => serveTools({ servers: ground.natsUrl, creds: ground.creds('tool-mine'), server: 'mine', tools });
  servers = await Promise.all([serve(), serve()]);
  runner = await ground.connect('tool-runner');
  call = runner.toolBatcher('tool.v1.mine');
});
afterAll(async () => {
  for (const server of servers ?? []) await server.close();
  await ground?.stop();
});
const cancel = (...calls: string[]) =>
  runner.notify(
    {
      kind: 'notice',
      subject: 'tool.v1.mine.cancel',
      body: toolCancel,
      by: ['tool-runner'],
      of: ['tool-runner'],
    },
    { v: 1, calls },
  );
const until = async (condition: () => boolean) => {
  for (let i = 0; i < 400 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
};

test('lists its tools', async () => {
  const data = await runner.requestRaw('tool.v1.mine.list', '{"v":1}', { of: 'the tool server', timeoutMs: 1_000 });
  expect(JSON.parse(new TextDecoder().decode(data)).tools.slice(0, 2)).toEqual([
    { name: 'echo', description: 'Returns its text.', input_schema: { type: 'object' } },
    {
      name: 'result',
      description: 'Returns a result.',
      input_schema: { type: 'object' },
      annotations: { readOnlyHint: true },
    },
  ]);
});

test.each<[string, Partial<ToolCallAsk>, unknown]>([
  ['echo', { arguments: { text: 'hello' } }, { status: 'ok', result: { content: [{ type: 'text', text: 'hello' }] } }],
  ['result', {}, { status: 'tool_error', result: { content: [], structuredContent: { a: 1 }, isError: true } }],
  ['fail', {}, { status: 'tool_error', result: { content: [{ type: 'text', text: 'no such row' }] } }],
  ['other', {}, { status: 'tool_error', result: { content: [{ type: 'text', text: 'there is no tool other here' }] } }],
])('answers a call of %s', async (tool, more, answer) => {
  expect(await call(ask(tool, more), { timeoutMs: 5_000 })).toEqual(answer);
});

test('confirms a cancelled call whose handler stopped, whichever process has it', async () => {
  const asks = Array.from({ length: 6 }, () => ask('slow'));
  const answers = asks.map((one) => call(one, { timeoutMs: 5_000 }));
  await until(() => ran.filter((r) => r === 'slow').length === 6);
  cancel(...asks.map((one) => one.call));
  for (const answer of answers) expect(await answer).toEqual({ status: 'cancelled', result: null });
});

test('does not confirm a call whose handler went on', async () => {
  const one = ask('deaf');
  const answer = call(one, { timeoutMs: 5_000 });
  await until(() => ran.includes('deaf'));
  cancel(one.call);
  expect(await answer).toMatchObject({ status: 'ok' });
});

test('does not start a call that was cancelled before it came, or whose deadline passed', async () => {
  const before = ran.length;
  const one = ask('echo');
  cancel(one.call);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await call(one, { timeoutMs: 5_000 })).toMatchObject({ status: 'cancelled' });
  expect(await call(ask('echo', { deadline: Date.now() - 1 }), { timeoutMs: 5_000 })).toMatchObject({
    status: 'cancelled',
  });
  expect(ran).toHaveLength(before);
});
