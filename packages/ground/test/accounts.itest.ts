import { connectBus } from '@agentgate/bus';
import { agentVerbs, operatorVerbs } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addAgent, pushTenant, readRoster, recordAgents, removeAgent } from '../src/index.ts';

// What NATS enforces of our accounts and permissions, seen from the users' side.

let ground: Ground;
beforeAll(async () => {
  ground = await startGround({
    config:
      'v: 1\ntenants: { default: { agents: { demo: {}, second: {} } }, acme: { agents: { demo: {} } } }\nservers: { echo: { nats: { subject: tool.v1.echo } } }\n',
  });
  const ingress = await ground.connect('ingress');
  ingress.serveRaw(agentVerbs.call, async (_, { subject }) => ({ subject }));
  const killSwitch = await ground.connect('kill-switch');
  killSwitch.serveRaw(operatorVerbs.kills, async (_, { subject }) => ({ subject }));
  await Promise.all([ingress.flush(), killSwitch.flush()]);
});
afterAll(() => ground.stop());

const ask = async (user: string, subject: string, body = '{}') => {
  const bus = await ground.connect(user);
  return JSON.parse(new TextDecoder().decode(await bus.requestRaw(subject, body, { of: 'x', timeoutMs: 400 })));
};

test('tells ingress tenant and agent by the subject', async () => {
  expect(await ask('agent-demo', 'agent.demo.call')).toEqual({
    subject: `gate.v1.${ground.accountId('default')}.demo.call`,
  });
  expect(await ask('acme.agent-demo', 'agent.demo.call')).toEqual({
    subject: `gate.v1.${ground.accountId('acme')}.demo.call`,
  });
  expect(await ask('operator', 'ops.operator.kills')).toEqual({ subject: 'ops.v1.operator.kills' });
});

test.each<readonly [string, string]>([
  ['agent-demo', 'agent.second.call'],
  ['agent-demo', 'gate.v1.x.second.call'],
  ['agent-demo', 'ops.operator.kills'],
  ['agent-demo', 'svc.v1.policy.decide'],
  ['agent-demo', 'events.v1.ingress'],
  ['agent-demo', '$JS.API.INFO'],
  ['agent-demo', '$JS.API.STREAM.INFO.EVIDENCE'],
  ['agent-demo', '$SYS.REQ.CLAIMS.UPDATE'],
  ['agent-demo', '$SYS.REQ.USER.INFO'],
  ['approver', 'ops.operator.kills'],
  ['auditor', 'ops.operator.kills'],
  ['auditor', '$JS.API.STREAM.DELETE.EVIDENCE'],
  ['auditor', '$JS.API.STREAM.INFO.AUDIT'],
  ['operator', '$JS.API.STREAM.PURGE.EVIDENCE'],
  ...['auditor', 'operator', 'sentinel-evidence'].flatMap((user) =>
    [
      '$JS.API.CONSUMER.DELETE.EVIDENCE.notifier',
      '$JS.API.CONSUMER.CREATE.EVIDENCE.notifier',
      '$JS.API.CONSUMER.CREATE.EVIDENCE.notifier.evidence.v1.checkpoint',
      '$JS.API.CONSUMER.MSG.NEXT.EVIDENCE.notifier',
    ].map((subject) => [user, subject] as const),
  ),
  ['ingress', '$JS.API.STREAM.UPDATE.KILL'],
  ['ingress', 'kill.v1.x'],
  ['kill-switch', '$JS.API.STREAM.DELETE.KILL'],
  ['kill-switch', '$JS.API.STREAM.MSG.DELETE.KILL'],
  ['policy', 'svc.v1.runner.execute'],
  ['policy', 'events.v1.ingress'],
  ['audit-log', '$JS.API.STREAM.PURGE.EVIDENCE'],
  ['tool-echo', 'tool.v1.echo.call'],
  ['tool-echo', 'svc.v1.policy.decide'],
])('gives %s no answer on %s', async (user, subject) => {
  await expect(ask(user, subject)).rejects.toThrow(/did not answer|is not running/);
});

test('lets a user who may publish nothing publish nothing, although NATS takes an empty list for everything', async () => {
  const subject = 'gate.v1.x.y.call';
  const asOne = async (pub: string[]) => {
    const creds = await ground.mintUser({ account: 'CORE', user: 'one', pub, sub: ['_INBOX_one.>'] });
    return (await ground.connect('one', { creds })).requestRaw(subject, '{}', { of: 'x', timeoutMs: 400 });
  };
  await expect(asOne([])).rejects.toThrow('did not answer');
  expect(await asOne([subject])).toBeTruthy();
});

test('lets an auditor read EVIDENCE', async () => {
  const auditor = await ground.connect('auditor');
  expect((await auditor.streamInfo('EVIDENCE')).config).toMatchObject({ name: 'EVIDENCE' });
});

test.each([
  ['a name of its own', 'EVIDENCE.mine', { name: 'mine' }],
  ['no name', 'EVIDENCE', {}],
  ['several filters', 'EVIDENCE', { filter_subjects: ['evidence.v1.checkpoint', 'evidence.v1.default.>'] }],
])('lets an auditor read by a consumer with %s, as clients ask for one', async (_, at, more) => {
  const config = { ack_policy: 'none', deliver_policy: 'all', inactive_threshold: 5_000_000_000, ...more };
  const made = await ask(
    'auditor',
    `$JS.API.CONSUMER.CREATE.${at}`,
    JSON.stringify({ stream_name: 'EVIDENCE', config }),
  );
  expect(made).toMatchObject({ stream_name: 'EVIDENCE', name: expect.any(String) });
});

test('disconnects a removed agent at once, refuses its credentials from then on, and takes its record away', async () => {
  const { seeds } = ground.deployment;
  const home = ground.deployment.home;
  const { natsUrl } = ground;
  await addAgent(home, seeds, ['default'], { tenant: 'default', name: 'brief', labels: ['x'] });
  await recordAgents({ natsUrl, seeds, roster: readRoster(home) });
  const agents = (await ground.connect('policy')).bucket('AGENTS');
  expect(JSON.parse(new TextDecoder().decode((await agents.get('default.brief'))?.value))).toMatchObject({
    agent: 'brief',
    labels: ['x'],
  });
  const creds = ground.creds('agent-brief');
  const bus = await ground.connect('agent-brief');
  const cut = new Promise((resolve) => bus.onState(resolve));

  // Its credentials are younger than that: a clock that was set back must not leave it in.
  await removeAgent(home, { tenant: 'default', name: 'brief' }, () => Date.now() - 3_600_000);
  const t = performance.now();
  await pushTenant({ natsUrl, seeds, roster: readRoster(home), tenant: 'default' });
  expect(await cut).toBe('disconnected');
  expect(performance.now() - t).toBeLessThan(2_000);
  await recordAgents({ natsUrl, seeds, roster: readRoster(home) });
  expect((await agents.get('default.brief'))?.operation ?? 'PURGE').toBe('PURGE');
  await expect(connectBus({ servers: natsUrl, creds, user: 'brief', instance: 'x', timeoutMs: 1_000 })).rejects.toThrow(
    'did not take user brief',
  );
  expect(await ask('agent-demo', 'agent.demo.call')).toBeTruthy();
});
