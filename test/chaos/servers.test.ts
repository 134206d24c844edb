import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { type Agent, type Operator, openAgent, openOperator } from '../parties.ts';
import { redisCommand } from '../redis-command.ts';
import { type Stack, startStack } from '../stack.ts';
import { expectHonest, expectRecovery, expectWholeEvidence, type Sent, startLoad } from './load.ts';

let stack: Stack;
let demo: Agent;
let operator: Operator;
let evidence: EvidenceReader;
let session: string;
let dead: string;
const all: Sent[] = [];

beforeAll(async () => {
  stack = await startStack();
  demo = await openAgent(stack);
  operator = await openOperator(stack);
  evidence = await readEvidence(stack);
  session = await demo.open();
  dead = await demo.open();
  await operator.kill({ kind: 'session', id: dead });
});
afterAll(() => stack?.stop());

/** Two loads while `act` runs: one in a session that is killed, one in a session that is free. */
const underLoad = async (about: string, act: () => Promise<void>, allowed: RegExp) => {
  const free = startLoad(demo, session, about);
  const killed = startLoad(demo, dead, `dead: ${about}`);
  await eventually('the load is on', () => free.sent.some((s) => s.reply?.status === 'ok'));
  await act();
  const sent = await free.stop();
  const none = await killed.stop();
  expectHonest(stack, sent, allowed);
  expectHonest(stack, none, new RegExp(`^killed$|${allowed.source}`));
  expect(stack.probe.entries().filter((e) => e.tag?.startsWith('dead: '))).toEqual([]);
  expect(none.some((s) => s.reply?.status === 'killed')).toBe(true);
  all.push(...sent, ...none);
};
const expectStillKilled = async () => {
  const reply = await eventually('the killed session is answered', async () => {
    const answer = await demo.call(dead, 'probe/echo', { text: 'dead: afterwards' });
    return answer.status === 'unavailable' ? undefined : answer;
  });
  expect(reply).toMatchObject({ status: 'killed', code: 'KILLED_SESSION' });
  expect((await operator.kills()).kills.map((k) => k.scope)).toEqual([{ kind: 'session', id: dead }]);
};

test('SIGKILL of Redis: sessions and kills are there again, and no killed call ran meanwhile', async () => {
  // For the next test: Redis reads its users anew when it starts.
  const acl = join(stack.home, 'keys', 'redis', 'users.acl');
  appendFileSync(acl, 'user chaos on >chaos ~* +@all\n');
  await underLoad(
    'redis',
    async () => {
      // What Redis fsyncs each second includes the sessions by then.
      await new Promise((resolve) => setTimeout(resolve, 1_100));
      const was = stack.pid('redis-server');
      stack.kill('redis-server', 'SIGKILL');
      await stack.restarted('redis-server', was);
      await expectRecovery(demo, session, 'SIGKILL of Redis');
    },
    /^(unavailable|outcome_unknown)$/,
  );
  await expectStillKilled();
});

test('FLUSHALL of Redis: the killed session stays killed; sessions are gone, and new ones work', async () => {
  const killSwitch = new URL(readFileSync(join(stack.home, 'keys', 'redis', 'kill-switch.url'), 'utf8').trim());
  await underLoad(
    'flushed',
    async () => {
      expect(await redisCommand(`redis://chaos:chaos@${killSwitch.host}`, 'FLUSHALL')).toBe('+OK');
      session = await eventually(
        'a new session works',
        async () => {
          const fresh = await demo.open();
          const reply = await demo.call(fresh, 'probe/echo', { text: `fresh ${fresh}` });
          return reply.status === 'ok' ? fresh : undefined;
        },
        15_000,
      );
    },
    /^(unavailable|denied)$/,
  );
  await expectStillKilled();
});

test('SIGKILL of NATS: kills and evidence survive, and nothing that was acknowledged is lost', async () => {
  await underLoad(
    'nats',
    async () => {
      const was = stack.pid('nats-server');
      stack.kill('nats-server', 'SIGKILL');
      await stack.restarted('nats-server', was);
      await eventually('the agent is connected', () => demo.bus.connected());
      await expectRecovery(demo, session, 'SIGKILL of NATS');
    },
    /^(unavailable|outcome_unknown|no answer)$/,
  );
  await expectStillKilled();
  await expectWholeEvidence(evidence, all);
});

test('SIGKILL of the supervisor: the next start ends what was left, and goes on with the same state', async () => {
  await expectRecovery(demo, session, 'what was before the supervisor');
  // The services come back to NATS one after the other, so a call may still be refused after the first that went through.
  const kept = await eventually('a call goes through', async () => {
    const reply = await demo.call(session, 'probe/echo', { text: `kept over the supervisor ${performance.now()}` });
    return reply.status === 'ok' ? reply : undefined;
  });
  await stack.restart('SIGKILL');
  await eventually('the agent is connected', () => demo.bus.connected(), 15_000);
  await expectRecovery(demo, session, 'SIGKILL of the supervisor');
  await expectStillKilled();
  const after = await readEvidence(stack);
  await after.event('call.completed', kept.evidence?.completed);
  await expectWholeEvidence(after, all);
  await operator.lift({ kind: 'session', id: dead });
  const reply = await demo.call(dead, 'probe/echo', { text: 'lifted at last' });
  expect(reply.code).toMatch(/^(OK|UNKNOWN_SESSION)$/);
});
