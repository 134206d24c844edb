import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type IncidentRecord, incidentsAnswer, liftAnswer } from '@agentgate/contracts';
import { canonical } from '@agentgate/evidence';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { intrude } from '../attacks/intruder.ts';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, type Operator, openAgent, openOperator } from '../parties.ts';
import { replicate } from '../replicas.ts';
import { type Stack, startStack } from '../stack.ts';

let stack: Stack;
let demo: Agent;
let second: Agent;
let operator: Operator;
let evidence: EvidenceReader;

const containment = `
operators: [ann]
dual_control: [tool]
containment:
  denials:
    - { id: probing, count: 4, window_s: 60, contains: agent }
  canaries:
    - { id: honey, tools: [payroll/export_all, probe/danger], contains: session }
    - { id: bait, values: { key: { file: ./bait.key } }, contains: session }
  breakers:
    - { id: failing, tools: [probe/fail], window_s: 60, errors: { share: 0.5, calls: 3 } }
`;
const bait = 'AKIAIOSFODNN7DECOYKEY';

beforeAll(async () => {
  stack = await startStack({
    config: ({ dir, probeLog }) => {
      writeFileSync(join(dir, 'bait.key'), bait);
      return testConfig({ probeLog, more: containment });
    },
  });
  demo = patient(await openAgent(stack));
  second = patient(await openAgent(stack, 'agent-second'));
  operator = await openOperator(stack);
  evidence = await readEvidence(stack);
});
afterAll(() => stack?.stop());

/** A killed agent's connection is cut: it asks again once it is back. */
const patient = (agent: Agent): Agent => ({
  ...agent,
  open: (purpose) => eventually('it is connected', () => agent.open(purpose)),
  call: (...args) => eventually('it is connected', () => agent.call(...args)),
});
const incidents = async (more: object = {}): Promise<IncidentRecord[]> =>
  incidentsAnswer.parse(await operator.ask('incidents', more)).incidents;
/** Waits until it has its receipt, and everything about it is in evidence. */
const incidentOf = (rule: string, not: string[] = []): Promise<IncidentRecord> =>
  eventually(`an incident of ${rule} has its receipt`, async () =>
    (await incidents()).find(
      (i) => i.rule === rule && i.evidence.contained && i.evidence.opened && !not.includes(i.id),
    ),
  );
const release = async (incident: string, person?: Awaited<ReturnType<typeof openAnn>>) =>
  liftAnswer.parse(
    person
      ? await person('release', { incident, reason: 'looked at it' })
      : await operator.ask('release', { incident, reason: 'looked at it' }),
  );
const openAnn = async () => {
  const bus = await stack.connect('ann');
  return async (verb: string, body: object) =>
    JSON.parse(
      new TextDecoder().decode(
        await bus.requestRaw(`ops.ann.${verb}`, JSON.stringify({ v: 1, ...body }), {
          of: 'kill-switch',
          timeoutMs: 10_000,
        }),
      ),
    ) as object;
};
const works = (agent: Agent, session: string, tag: string) => agent.call(session, 'probe/echo', { text: tag });

describe('an agent that is refused again and again', () => {
  test('is killed with a receipt, in an incident, and works again once an operator releases it', async () => {
    const session = await demo.open();
    const refused: string[] = [];
    for (let i = 0; i < 4; i++) {
      const reply = await demo.call(session, 'probe/write', { path: '/etc/passwd', content: 'x' });
      expect(reply.code).toBe('ARGUMENT_NOT_ALLOWED');
      refused.push(reply.evidence?.decided ?? '');
    }
    const incident = await incidentOf('probing');
    expect(incident).toMatchObject({
      kind: 'denials',
      state: 'contained',
      scope: { kind: 'agent', id: 'demo', tenant: 'default' },
      agent: 'demo',
      events: refused,
      receipt: { contained: true, scope: incident.scope },
    });
    const { signature = '', ...receipt } = incident.receipt ?? {};
    const bytes = Buffer.from(`agentgate-receipt-v1\n${canonical(receipt)}`);
    expect(stack.trust.keysOf('kill-switch').some((key) => key.verify(bytes, Buffer.from(signature, 'base64')))).toBe(
      true,
    );
    expect((await works(demo, session, 'while it is killed')).code).toBe('KILLED_AGENT');
    expect((await works(second, await second.open(), 'somebody else')).code).toBe('OK');

    const ordered = await evidence.event('kill.ordered', incident.evidence.ordered);
    expect(ordered.source).toMatch(/^agentgate\/kill-switch\//);
    expect(ordered.data).toMatchObject({
      by: 'sentinel',
      incident: incident.id,
      events: refused,
      scope: incident.scope,
    });
    const opened = await evidence.event('incident.opened', incident.evidence.opened);
    expect(opened).toMatchObject({ agent: 'demo', data: { incident: incident.id, rule: 'probing', events: refused } });
    expect(opened.source).toMatch(/^agentgate\/sentinel\//);
    const contained = await eventually('it is recorded', () => evidence.all('incident.contained').at(-1));
    expect(contained.data).toMatchObject({ incident: incident.id, contained: true });

    expect(await operator.ask('note', { incident: incident.id, text: 'called its owner' })).toMatchObject({
      status: 'noted',
    });
    expect(await release(incident.id)).toMatchObject({ status: 'lifted' });
    expect((await works(demo, session, 'released')).code).toBe('OK');
    const released = await eventually('the incident is released', async () =>
      (await incidents({ id: incident.id })).find((i) => i.state === 'released' && i.evidence.released),
    );
    expect(released).toMatchObject({
      notes: [{ by: 'operator', text: 'called its owner' }],
      released: { by: 'operator', reason: 'looked at it' },
    });
    const told = await evidence.event('incident.released', released.evidence.released);
    expect(told.data).toMatchObject({ incident: incident.id, by: 'operator', reason: 'looked at it' });
    const lifted = await eventually('the lift is recorded', () => evidence.all('kill.lifted').at(-1));
    expect(lifted.data).toMatchObject({ incident: incident.id, by: 'operator' });
    expect(await incidents()).toEqual([]);
    expect(await release(incident.id)).toMatchObject({ status: 'not_killed' });
  });
});

describe('bait', () => {
  test.each<[string, string, object]>([
    ['a canary tool that does not exist', 'payroll/export_all', {}],
    ['a canary tool that does', 'probe/danger', {}],
    [
      'a canary value in the arguments of an allowed call',
      'probe/echo',
      { text: `see ${Buffer.from(bait).toString('hex')}` },
    ],
  ])('%s stops the session that touched it, and no other', async (_, tool, args) => {
    const [session, other] = [await demo.open(), await demo.open()];
    const rule = tool === 'probe/echo' ? 'bait' : 'honey';
    const { evidence: ids } = await demo.call(session, tool, args);
    const incident = await incidentOf(rule);
    expect(incident).toMatchObject({ kind: 'canary', scope: { kind: 'session', id: session }, events: [ids?.decided] });
    expect((await works(demo, session, 'touched bait')).code).toBe('KILLED_SESSION');
    expect((await works(demo, other, 'touched none')).code).toBe('OK');
    expect(await release(incident.id)).toMatchObject({ status: 'lifted' });
    await eventually('it is released', async () => (await incidents()).length === 0);
    // Not a row of sessions: that would be the agent itself.
    await operator.kill({ kind: 'agent', id: 'demo' });
    await operator.lift({ kind: 'agent', id: 'demo' });
    await eventually('the lift is in evidence', () => evidence.all('kill.lifted').at(-1)?.data.scope.kind === 'agent');
  });
});

describe('an agent that wants another one killed', () => {
  test('cannot by naming its session, its name, or bait in its name: it is the one who is stopped', async () => {
    const theirs = await second.open();
    const session = await demo.open();
    const reply = await demo.call(theirs, 'payroll/export_all', {
      agent: 'second',
      session: theirs,
      tenant: 'default',
    });
    expect(reply.code).toBe('UNKNOWN_SESSION');
    const incident = await incidentOf('honey');
    expect(incident.scope).toEqual({ kind: 'agent', id: 'demo', tenant: 'default' });
    expect((await works(demo, session, 'framer')).code).toBe('KILLED_AGENT');
    expect((await works(second, theirs, 'framed')).code).toBe('OK');
    await release(incident.id);
    await eventually('it is released', async () => (await incidents()).length === 0);
    for (let i = 0; i < 4; i++) await demo.call(theirs, 'probe/echo', { text: 'x' });
    expect((await incidentOf('probing')).scope).toEqual({ kind: 'agent', id: 'demo', tenant: 'default' });
    expect((await works(second, theirs, 'framed again')).code).toBe('OK');
    await release((await incidentOf('probing')).id);
    await eventually('it is released, too', async () => (await incidents()).length === 0);
  });

  test('cannot have a tool stopped alone; two operators lift what several tripped', async () => {
    const [session, theirs] = [await demo.open(), await second.open()];
    for (let i = 0; i < 8; i++) expect((await demo.call(session, 'probe/fail', {})).status).toBe('tool_error');
    // What was before it is judged before it.
    const { evidence: last } = await works(demo, session, 'after the failures');
    await evidence.event('call.completed', last?.completed);
    expect(await incidents()).toEqual([]);
    for (let i = 0; i < 3; i++) await second.call(theirs, 'probe/fail', {});
    const incident = await incidentOf('failing');
    expect(incident.scope).toEqual({ kind: 'tool', id: 'probe/fail', tenant: 'default' });
    expect((await second.call(theirs, 'probe/fail', {})).code).toBe('KILLED_TOOL');
    const ann = await openAnn();
    expect(await release(incident.id)).toMatchObject({ status: 'pending_second' });
    expect((await second.call(theirs, 'probe/fail', {})).code).toBe('KILLED_TOOL');
    expect(await release(incident.id, ann)).toMatchObject({ status: 'lifted' });
    expect((await second.call(theirs, 'probe/fail', {})).status).toBe('tool_error');
    await eventually('it is released', async () => (await incidents()).length === 0);
  });

  test('may neither order, release, nor forge what leads there', async () => {
    const agent = await intrude(stack, stack.creds('agent-demo'));
    for (const subject of [
      'svc.v1.kill.order',
      'ops.demo.release',
      'ops.operator.release',
      'events.v1.ingress',
      'evidence.v1.default.agentgate.call.decided.v1',
      '$KV.INCIDENTS.x',
      '$KV.SENTINEL.watch',
    ])
      expect(await agent.isRefusedToSay(subject, '{}'), subject).toBe(true);
    await agent.close();
  });
});

describe('the sentinel', () => {
  test('may order, and neither lift, order in another name, nor write evidence that it reads', async () => {
    const sentinel = await intrude(stack, stack.creds('sentinel'), '_INBOX_sentinel');
    const reader = await intrude(stack, stack.creds('sentinel-evidence'), '_INBOX_sentinel-evidence');
    for (const subject of [
      'ops.v1.operator.lift',
      'ops.v1.sentinel.lift',
      'ops.v1.sentinel.release',
      'ops.v1.operator.kill',
      'kill.v1.Z2xvYmFs',
      'svc.v1.points.contain',
      'svc.v1.kill.pulse',
      'svc.v1.kill.hold',
      'events.v1.ingress',
      'events.v1.kill-switch',
      '$JS.API.STREAM.PURGE.KV_INCIDENTS',
    ])
      expect(await sentinel.isRefusedToSay(subject, '{}'), subject).toBe(true);
    for (const subject of [
      'evidence.v1.default.agentgate.call.decided.v1',
      'events.v1.ingress',
      '$JS.API.STREAM.DELETE.EVIDENCE',
    ])
      expect(await reader.isRefusedToSay(subject, '{}'), subject).toBe(true);
    const order = async (body: object) =>
      JSON.parse((await sentinel.nc.request('svc.v1.kill.order', JSON.stringify(body))).string()) as {
        error?: { code: string };
      };
    const good = {
      v: 1,
      scope: { kind: 'session', id: 'ses_0123456789' },
      reason: 'x',
      incident: 'inc_0123456789',
      events: [],
    };
    for (const bad of [
      { ...good, scope: { kind: 'global' } },
      { ...good, scope: { kind: 'tenant', id: 'acme' } },
      { ...good, by: 'operator' },
      { ...good, expires_in_ms: 1 },
    ])
      expect(await order(bad)).toMatchObject({ error: { code: 'FIELD_INVALID' } });
    await Promise.all([sentinel.close(), reader.close()]);
  });

  test("an order of its own does not take an operator's place, and its release does not lift that", async () => {
    const session = await demo.open();
    const held = await operator.kill({ kind: 'session', id: session });
    const sentinel = await intrude(stack, stack.creds('sentinel'), '_INBOX_sentinel');
    const ask = {
      v: 1,
      scope: { kind: 'session', id: session },
      reason: 'late',
      incident: 'inc_9876543210',
      events: [],
    };
    const told = JSON.parse(
      (await sentinel.nc.request('svc.v1.kill.order', JSON.stringify(ask), { timeout: 5_000 })).string(),
    ) as { receipt: { epoch: number } };
    expect(told.receipt.epoch).toBe(held.epoch);
    expect(await release('inc_9876543210')).toMatchObject({ status: 'not_killed' });
    expect((await works(demo, session, 'held')).code).toBe('KILLED_SESSION');
    await operator.lift({ kind: 'session', id: session });
    await sentinel.close();
  });

  test('two of them make one incident; one that was away goes on where it was, and calls go on meanwhile', async () => {
    const other = await replicate(stack, 'sentinel');
    try {
      const session = await demo.open();
      for (let i = 0; i < 2; i++) await demo.call(session, 'probe/write', { path: '/etc/a', content: 'x' });
      const was = stack.pid('sentinel');
      stack.kill('sentinel', 'SIGKILL');
      await other.kill('SIGKILL');
      // Nobody counts now.
      expect((await works(demo, session, 'unwatched')).code).toBe('OK');
      for (let i = 0; i < 2; i++) await demo.call(session, 'probe/write', { path: '/etc/b', content: 'x' });
      await stack.restarted('sentinel', was);
      const incident = await incidentOf('probing');
      expect(incident.events).toHaveLength(4);
      await eventually('the agent is killed', async () => (await works(demo, session, 'late')).code === 'KILLED_AGENT');
      await release(incident.id);
    } finally {
      await other.kill('SIGKILL').catch(() => {});
    }
    await eventually('it is released', async () => (await incidents()).length === 0);
    const both = await replicate(stack, 'sentinel');
    try {
      const session = await demo.open();
      for (let i = 0; i < 4; i++) await demo.call(session, 'probe/write', { path: '/etc/c', content: 'x' });
      const { id } = await incidentOf('probing');
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      expect((await incidents()).map((i) => i.id)).toEqual([id]);
      expect(evidence.all('incident.opened').filter(({ data }) => data.incident === id)).toHaveLength(1);
      expect(evidence.all('kill.ordered').filter(({ data }) => data.incident === id)).toHaveLength(1);
      await release(id);
    } finally {
      await both.kill('SIGTERM');
    }
  });
});
