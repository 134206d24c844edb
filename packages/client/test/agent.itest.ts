import type { Bus } from '@agentgate/bus';
import { agentVerbs, type CallReply, identityOf } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type AgentClient, connect } from '../src/index.ts';

let ground: Ground;
let ingress: Bus;
let agent: AgentClient;
const session = 'ses_0123456789';
const call = 'call_0123456789';
/** What the gate heard, and from whom NATS says that it came. */
const heard: { verb: string; agent: string; body: Record<string, unknown> }[] = [];
let reply: (body: Record<string, unknown>) => unknown;

beforeAll(async () => {
  ground = await startGround({ redis: false });
  ingress = await ground.connect('ingress');
  for (const [verb, contract] of Object.entries(agentVerbs)) {
    ingress.serveRaw(contract as never, async (bytes: Uint8Array, { subject }: { subject: string }) => {
      const body = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
      heard.push({ verb, agent: identityOf(subject).agent, body });
      if (verb === 'session')
        return body.purpose === 'refuse me'
          ? { v: 1, status: 'killed', code: 'KILLED_AGENT', reason: 'agent demo is killed: test' }
          : { v: 1, session, expires_at: '2030-01-01T00:00:00Z' };
      if (verb === 'tools')
        return { v: 1, tools: [{ name: 'a/b', description: '', input_schema: {}, annotations: {} }] };
      if (verb === 'cancel') return { v: 1, status: 'aborted' };
      return reply(body);
    });
  }
  await ingress.flush();
  agent = await connect({ servers: ground.natsUrl, creds: ground.creds('agent-demo') });
});
afterAll(async () => {
  await agent?.close();
  await ground?.stop();
});
const answer: CallReply = { v: 1, call, status: 'ok', code: 'OK', reason: 'the tool ran', result: { content: [] } };
beforeEach(() => {
  heard.length = 0;
  reply = () => answer;
});

test('opens a session and calls a tool in it, under the name of the credentials', async () => {
  const opened = await agent.openSession({ purpose: 'test' });
  expect(opened).toMatchObject({ id: session, expiresAt: '2030-01-01T00:00:00Z' });
  expect(await opened.tools()).toEqual([{ name: 'a/b', description: '', input_schema: {}, annotations: {} }]);
  expect(await opened.call('a/b', { x: 1 }, { key: 'k', timeoutMs: 5_000 })).toEqual(answer);
  expect(heard).toEqual([
    { verb: 'session', agent: 'demo', body: { v: 1, purpose: 'test' } },
    { verb: 'tools', agent: 'demo', body: { v: 1, session } },
    {
      verb: 'call',
      agent: 'demo',
      body: { v: 1, session, tool: 'a/b', arguments: { x: 1 }, key: 'k', timeout_ms: 5_000 },
    },
  ]);
});

test('gives a refused call as a reply', async () => {
  reply = () => ({ v: 1, call, status: 'denied', code: 'NO_GRANT', reason: 'no grant' });
  expect(await agent.session(session).call('a/b', {})).toMatchObject({ status: 'denied', code: 'NO_GRANT' });
});

test('rejects with the code of a refused session', async () => {
  await expect(agent.openSession({ purpose: 'refuse me' })).rejects.toMatchObject({
    name: 'AgentGateClientError',
    code: 'KILLED_AGENT',
    message: 'agent demo is killed: test',
  });
});

test('rejects an answer that is not of the protocol', async () => {
  reply = () => ({ v: 1, status: 'fine' });
  await expect(agent.session(session).call('a/b', {})).rejects.toMatchObject({
    code: 'MALFORMED',
    message: 'the gate answered in another form than agreed',
  });
});

test('does not take silence for a call that did not run', async () => {
  reply = () => new Promise(() => {});
  const began = performance.now();
  await expect(agent.session(session).call('a/b', {}, { timeoutMs: 1 })).rejects.toMatchObject({
    code: 'OUTCOME_UNKNOWN',
    message: 'ingress did not answer within 5001 ms',
  });
  expect(performance.now() - began).toBeLessThan(7_000);
});

test('a signal cancels the call by its key, and the reply still comes', async () => {
  const stop = new AbortController();
  reply = async () => {
    stop.abort();
    while (!heard.some((h) => h.verb === 'cancel')) await new Promise((resolve) => setTimeout(resolve, 5));
    return { v: 1, call, status: 'cancelled', code: 'CANCELLED', reason: 'the call was stopped' };
  };
  expect(await agent.session(session).call('a/b', {}, { signal: stop.signal })).toMatchObject({ status: 'cancelled' });
  const [called, cancelled] = heard;
  expect(called?.body.key).toEqual(expect.any(String));
  expect(cancelled).toEqual({ verb: 'cancel', agent: 'demo', body: { v: 1, key: called?.body.key } });
});

test('sends nothing when the signal has aborted already', async () => {
  await expect(agent.session(session).call('a/b', {}, { signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'CANCELLED',
  });
  expect(heard).toEqual([]);
});

test('opens a session with a bearer token in place of credentials, and says whether it is connected', async () => {
  const bearer = await connect({
    servers: ground.natsUrl,
    creds: ground.credsFile('agent-demo').replace(/creds$/, 'token'),
  });
  expect([bearer.name, bearer.connected()]).toEqual(['demo', true]);
  await bearer.openSession({ purpose: 'without a key' });
  expect(heard).toEqual([{ verb: 'session', agent: 'demo', body: { v: 1, purpose: 'without a key' } }]);
  await bearer.close();
  await vi.waitFor(() => expect(bearer.connected()).toBe(false));
});

test('says that it is not connected where no gate runs', async () => {
  const alone = await startGround({ redis: false });
  const lonely = await connect({ servers: alone.natsUrl, creds: alone.creds('agent-demo') });
  await expect(lonely.openSession()).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
  await alone.nats.stop();
  expect(lonely.connected()).toBe(false);
  await expect(lonely.session(session).call('a/b', {})).rejects.toMatchObject({ code: 'NOT_CONNECTED' });
  await lonely.close();
  await alone.stop();
  await expect(connect({ servers: alone.natsUrl, creds: ground.creds('agent-demo') })).rejects.toMatchObject({
    code: 'NOT_CONNECTED',
  });
});
