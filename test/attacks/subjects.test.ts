import { serveTools } from '@agentgate/client';
import {
  type AccountName,
  inboxOf,
  internalContracts,
  listingContracts,
  operatorVerbs,
  streams,
} from '@agentgate/contracts';
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { readEvidence } from '../evidence-reader.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, openAgent } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';
import { type Intruder, intrude } from './intruder.ts';

let stack: Stack;
let demo: Agent;
let session: string;
/** What came through in each account, heard by somebody who may hear everything. */
const witnessed: string[] = [];
const witnesses: NatsConnection[] = [];
const marker = 'intruder-was-here';

const witness = async (account: AccountName | { tenant: string }) => {
  const creds = await stack.mint(account, 'witness', [], ['>']);
  const nc = await connect({
    servers: stack.status.nats,
    authenticator: credsAuthenticator(new TextEncoder().encode(creds)),
  });
  nc.subscribe('>', {
    callback: (_, msg) => {
      if (msg.string().includes(marker)) witnessed.push(`${JSON.stringify(account)} ${msg.subject}`);
    },
  });
  await nc.flush();
  witnesses.push(nc);
};

beforeAll(async () => {
  const servers = '  queue: { nats: { subject: tool.v1.queue } }\n  other: { nats: { subject: tool.v1.other } }';
  const grants = '  - { id: queues, to: { labels: [dev] }, tools: ["queue/*", "other/*"], effect: allow }';
  stack = await startStack({ config: ({ probeLog }) => testConfig({ probeLog, servers, grants }) });
  demo = await openAgent(stack);
  session = await demo.open();
  for (const account of ['CORE', 'AUDIT', 'OPS', 'TOOLS', { tenant: 'acme' }] as const) await witness(account);
});
afterAll(async () => {
  await Promise.all(witnesses.map((nc) => nc.close()));
  await stack?.stop();
});

const services = [...Object.values(internalContracts), ...Object.values(listingContracts)].map((c) => c.subject);
const streamNames = streams.map((s) => s.name);
const core = [
  ...services,
  'svc.v1.anything',
  'gate.v1.A.demo.call',
  ...['ingress', 'policy', 'kill-switch', 'audit'].map((s) => `events.v1.${s}`),
  'kill.v1.Z2xvYmFs',
  'evidence.v1.default.agentgate.call.decided.v1',
  'evidence.v1.checkpoint',
  '$KV.AGENTS.default.demo',
  '$KV.TOOLS.abc',
  '$KV.LEASES.prm_0123456789',
  'tool.v1.queue.call',
  'tool.v1.queue.list',
];
const system = [
  '$SYS.REQ.SERVER.PING',
  '$SYS.REQ.CLAIMS.UPDATE',
  '$SYS.ACCOUNT.A.CONNECT',
  '$SYS.REQ.SERVER.X.KICK',
  '$SRV.PING',
  '$JSC.CI.A.B.C',
  '_R_.abc',
];
const operators = Object.keys(operatorVerbs).map((verb) => `ops.operator.${verb}`);
const jetStreamApi = streamNames.flatMap((stream) => [
  `$JS.API.STREAM.CREATE.${stream}`,
  `$JS.API.STREAM.UPDATE.${stream}`,
  `$JS.API.STREAM.DELETE.${stream}`,
  `$JS.API.STREAM.PURGE.${stream}`,
  `$JS.API.STREAM.RESTORE.${stream}`,
  `$JS.API.STREAM.SNAPSHOT.${stream}`,
  `$JS.API.STREAM.MSG.DELETE.${stream}`,
  `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.mine`,
]);
const readingApi = streamNames.flatMap((stream) => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.STREAM.MSG.GET.${stream}`,
  `$JS.API.DIRECT.GET.${stream}`,
  `$JS.API.CONSUMER.CREATE.${stream}.x`,
]);
const others = [
  'agent.second.session',
  'agent.second.call',
  'agent.second.cancel',
  'agent.*.call',
  'agent.>',
  'agent.demo',
  'ops.demo.kill',
  ...['second', 'ingress', 'policy', 'operator', 'audit-log', 'tool-runner'].map((user) => `${inboxOf(user)}.x`),
  '_LATE_ingress.svc-v1-runner-execute.x',
  '_INBOX.x',
];
const listening = [
  '>',
  '*',
  '_INBOX_*.>',
  ...['second', 'ingress', 'policy', 'operator', 'kill-switch', 'tool-runner'].map((user) => `${inboxOf(user)}.>`),
  '_LATE_ingress.>',
  '_INBOX.>',
  'agent.>',
  'agent.demo.call',
  'agent.second.call',
  'svc.v1.>',
  'gate.v1.>',
  'events.v1.>',
  'evidence.v1.>',
  'kill.v1.>',
  'tool.v1.>',
  '$JS.>',
  '$KV.>',
  '$SYS.>',
  '$SRV.>',
];

/** What NATS took although it must not. */
const taken = async (intruder: Intruder, subjects: readonly string[]): Promise<string[]> => {
  const through: string[] = [];
  for (const subject of subjects) if (!(await intruder.isRefusedToSay(subject, marker))) through.push(subject);
  return through;
};
const listened = async (intruder: Intruder, subjects: readonly string[]): Promise<string[]> => {
  const through: string[] = [];
  for (const subject of subjects)
    for (const queue of [undefined, 'ingress'])
      if (!(await intruder.isRefusedToHear(subject, queue))) through.push(subject);
  return through;
};
const messagesIn = async (intruder: Intruder): Promise<number> => {
  const info = await intruder.nc.request('$JS.API.STREAM.INFO.EVIDENCE', '', { timeout: 2_000 });
  return (info.json() as { state: { messages: number } }).state.messages;
};
const quietly = async (work: () => Promise<void>): Promise<void> => {
  witnessed.length = 0;
  await work();
  for (const nc of witnesses) await nc.flush();
  expect(witnessed).toEqual([]);
};

describe("a program with an agent's credentials", () => {
  let intruder: Intruder;
  beforeAll(async () => {
    intruder = await intrude(stack, stack.creds('agent-demo'), '_INBOX_demo');
  });
  afterAll(() => intruder?.close());

  test('may say nothing on any subject but its own', () =>
    quietly(async () => {
      const subjects = [...core, ...system, ...operators, ...jetStreamApi, ...readingApi, ...others, '$JS.API.INFO'];
      expect(await taken(intruder, subjects)).toEqual([]);
    }));

  test('may hear nothing but its own inbox', async () => {
    expect(await listened(intruder, listening)).toEqual([]);
    const second = await openAgent(stack, 'agent-second');
    await second.call(await second.open(), 'probe/echo', { text: 'somebody else speaks' });
    expect(intruder.heard).toEqual([]);
    expect(await intruder.isRefusedToHear('_INBOX_demo.>')).toBe(false);
  });

  test('cannot connect its answers to the inbox of another', async () => {
    const other = await intrude(stack, stack.creds('agent-demo'), '_INBOX_second');
    await expect(other.nc.request('agent.demo.session', '{"v":1}', { timeout: 500 })).rejects.toThrow();
    await other.close();
  });

  test("cannot become another agent by asking for the answer on that agent's subject", async () => {
    const evidence = await readEvidence(stack);
    for (const verb of ['session', 'tools', 'call', 'cancel'])
      for (const forged of ['session', 'tools', 'call', 'cancel'])
        await intruder.isRefusedToSay(`agent.demo.${verb}`, '{"v":1}', `agent.second.${forged}`);
    // A call of our own afterwards: once its evidence is here, so is that of everything before it.
    const reply = await demo.call(session, 'probe/echo', { text: 'after the forged answers' });
    await evidence.event('call.completed', reply.evidence?.completed);
    const opened = evidence.all('session.opened').filter((e) => e.tenant !== 'agentgate');
    expect(opened.length).toBeGreaterThan(4);
    expect(new Set(opened.map((e) => e.agent))).toEqual(new Set(['demo', 'second']));
    expect(opened.filter((e) => e.agent === 'second')).toHaveLength(1);
    expect(evidence.all('call.decided').filter((e) => e.agent === 'second')).toHaveLength(1);
  });

  test.each(['bogus', 'call.more', 'session.x', 'CALL', 'hold'])('gets no answer on agent.demo.%s', async (verb) => {
    await expect(intruder.nc.request(`agent.demo.${verb}`, '{"v":1}', { timeout: 500 })).rejects.toThrow();
  });

  test("cannot forge a runner's answer or the evidence's PubAck", () =>
    quietly(async () => {
      const running = demo.call(session, 'probe/slow', { ms: 1_200, tag: 'forged answers' });
      await eventually('the call runs', () => stack.probe.starts('forged answers') === 1);
      const answer = JSON.stringify({
        v: 1,
        items: [{ n: 0, answer: { outcome: 'ok', code: 'OK', reason: marker, duration_ms: 0, redacted: [] } }],
      });
      const pubAck = JSON.stringify({ stream: 'AUDIT', seq: 1, marker });
      for (const subject of ['_LATE_ingress.svc-v1-runner-execute.1', '_INBOX_ingress.a.1', '_INBOX_ingress.>'])
        for (const body of [answer, pubAck]) expect(await intruder.isRefusedToSay(subject, body)).toBe(true);
      expect(await running).toMatchObject({ status: 'ok', reason: expect.not.stringContaining(marker) });
    }));

  test('cannot be told apart from nobody by what it learns: no server but its own account answers', async () => {
    for (const subject of ['$SYS.REQ.USER.INFO', '$JS.API.INFO', '$JS.API.STREAM.NAMES'])
      await expect(intruder.nc.request(subject, '', { timeout: 300 })).rejects.toThrow();
  });
});

describe("a program with a tool server's credentials", () => {
  let intruder: Intruder;
  beforeAll(async () => {
    intruder = await intrude(stack, stack.creds('tool-queue'), '_INBOX_tool-queue');
  });
  afterAll(() => intruder?.close());

  test('may say nothing by itself', () =>
    quietly(async () => {
      const subjects = [
        ...core,
        ...system,
        ...operators,
        ...jetStreamApi,
        ...readingApi,
        ...others,
        'tool.v1.other.call',
      ];
      expect(await taken(intruder, subjects)).toEqual([]);
    }));

  test('may hear its own calls alone', async () => {
    const own = new Set(['tool.v1.queue.call']);
    const subjects = [...listening.filter((s) => !own.has(s)), 'tool.v1.other.call', 'tool.v1.*.call'];
    expect(await listened(intruder, subjects)).toEqual([]);
  });

  test('may answer the call that it got, and forge no other answer while it has it', async () => {
    const server = await serveTools({
      servers: stack.status.nats,
      creds: stack.creds('tool-other'),
      server: 'other',
      tools: [{ name: 'echo', description: 'Echoes.', inputSchema: { type: 'object' }, handler: () => 'honest' }],
    });
    // The dishonest one answers every call itself, and tries to answer the honest one's, too.
    const tried: boolean[] = [];
    const hears = new Promise<void>((resolve) => {
      intruder.nc.subscribe('tool.v1.queue.call', {
        callback: (_, msg) => {
          const forge = async () => {
            for (const subject of ['_LATE_tool-runner.tool-v1.zzz', '_INBOX_tool-runner.a.1', '_INBOX_ingress.a.1'])
              tried.push(await intruder.isRefusedToSay(subject, JSON.stringify({ v: 1, taken: 1, items: [], marker })));
            const answer = { status: 'ok', result: { content: [{ type: 'text', text: 'dishonest' }] } };
            msg.respond(JSON.stringify({ v: 1, taken: 1, items: [{ n: 0, answer }] }));
            resolve();
          };
          forge().catch(() => {});
        },
      });
      intruder.nc.subscribe('tool.v1.queue.list', {
        callback: (_, msg) => {
          const tool = { name: 'echo', description: 'Echoes.', input_schema: { type: 'object' } };
          msg.respond(JSON.stringify({ v: 1, tools: [tool] }));
        },
      });
    });
    const call = (tool: string) => demo.call(session, tool, {});
    const honest = await eventually(
      'the honest server is known',
      async () => {
        const reply = await call('other/echo');
        return reply.status === 'ok' ? reply : undefined;
      },
      30_000,
    );
    const dishonest = await eventually(
      'the dishonest server is known',
      async () => {
        const reply = await call('queue/echo');
        return reply.status === 'ok' ? reply : undefined;
      },
      30_000,
    );
    await hears;
    expect(tried).not.toContain(false);
    expect(JSON.stringify(honest.result)).toContain('honest');
    expect(JSON.stringify(dishonest.result)).toContain('dishonest');
    expect(JSON.stringify(await call('other/echo'))).not.toContain('dishonest');
    await server.close();
  });
});

describe("a program with an auditor's credentials", () => {
  test('reads EVIDENCE and nothing else, and changes nothing', async () => {
    const intruder = await intrude(stack, stack.creds('auditor'), '_INBOX_auditor');
    const isReading = (s: string) => /EVIDENCE/.test(s);
    await quietly(async () => {
      const subjects = [...core, ...system, ...operators, ...others, ...readingApi.filter((s) => !isReading(s))];
      expect(await taken(intruder, [...subjects, ...jetStreamApi])).toEqual([]);
    });
    expect(
      await listened(
        intruder,
        listening.filter((s) => s !== '_INBOX.>'),
      ),
    ).toEqual([]);
    expect(await messagesIn(intruder)).toBeGreaterThan(0);
    await intruder.close();
  });

  test('cannot have a consumer of its own deliver where it may not speak', async () => {
    const intruder = await intrude(stack, stack.creds('auditor'), '_INBOX_auditor');
    const before = await messagesIn(intruder);
    const targets = [
      '$JS.API.STREAM.DELETE.EVIDENCE',
      '$JS.API.STREAM.PURGE.AUDIT',
      'events.v1.ingress',
      'events.v1.audit',
    ];
    for (const [i, deliver_subject] of targets.entries()) {
      // Without the messages' bodies: an empty request is what those subjects of the API want.
      const config = {
        name: `thief-${i}`,
        deliver_subject,
        headers_only: true,
        deliver_policy: 'all',
        ack_policy: 'none',
      };
      const ask = JSON.stringify({ stream_name: 'EVIDENCE', config });
      await intruder.nc.request(`$JS.API.CONSUMER.CREATE.EVIDENCE.${config.name}`, ask, { timeout: 2_000 });
    }
    const reply = await demo.call(session, 'probe/echo', { text: 'after the consumers' });
    const evidence = await readEvidence(stack);
    await evidence.event('call.completed', reply.evidence?.completed);
    expect(await messagesIn(intruder)).toBeGreaterThan(before);
    expect(evidence.all('evidence.anomaly')).toEqual([]);
    await intruder.close();
  });
});

test('an approver may not kill, and an operator may not speak for another person', async () => {
  const approver = await intrude(stack, stack.creds('approver'), '_INBOX_approver');
  expect(await taken(approver, [...operators, 'ops.approver.kill', 'ops.approver.lift', ...core])).toEqual([]);
  await approver.close();
  const operator = await intrude(stack, stack.creds('operator'), '_INBOX_operator');
  expect(
    await taken(operator, ['ops.approver.kill', 'ops.*.kill', 'ops.v1.operator.kill', ...core, ...jetStreamApi]),
  ).toEqual([]);
  await operator.close();
});

test('none of it left a trace: evidence is whole, and holds no anomaly', async () => {
  const evidence = await readEvidence(stack);
  expect(evidence.all('evidence.anomaly')).toEqual([]);
  expect(evidence.entries().every((e) => e.verdict.ok)).toBe(true);
  expect(evidence.all('kill.ordered')).toEqual([]);
});
