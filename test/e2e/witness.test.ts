import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Batcher, Bus } from '@agentgate/bus';
import {
  auditWitnessed,
  type ExecuteAnswer,
  type ExecuteAsk,
  killCheck,
  policyDecide,
  runnerExecute,
  type TheCall,
  type WitnessedEntry,
} from '@agentgate/contracts';
import {
  checkWitnesses,
  leafHash,
  NOTE_ED25519,
  parseVkey,
  verifyCheckpoint,
  verifyProof,
  witnessPolicy,
} from '@agentgate/evidence';
import { newId } from '@agentgate/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, openAgent } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

let stack: Stack;
let demo: Agent;
let session: string;
let evidence: EvidenceReader;
let trust: { origin: string; keys: ReturnType<typeof parseVkey>[]; witnesses: ReturnType<typeof witnessPolicy> };

beforeAll(async () => {
  const more = 'tools: [{ tools: [probe/echo], witnessed: true }]\n';
  stack = await startStack({ config: ({ probeLog }) => testConfig({ probeLog, more }) });
  demo = await openAgent(stack);
  session = await demo.open('the tests of witnesses');
  evidence = await readEvidence(stack);
  const { log, witness } = stack.status;
  trust = {
    origin: log.origin,
    keys: [parseVkey(log.vkey, NOTE_ED25519)],
    witnesses: witnessPolicy({ vkeys: [witness?.vkey ?? ''], quorum: 1 }),
  };
});
afterAll(() => stack?.stop());

const checkpointNow = () => {
  const verdict = verifyCheckpoint(readFileSync(join(stack.status.log.dir, 'checkpoint')), trust);
  if (!verdict.ok) throw new Error(verdict.reason);
  return { size: verdict.checkpoint.size, cosigned: checkWitnesses(verdict.note, trust.witnesses).ok };
};

test('the published checkpoint carries the cosignature of the witness that status.json names', async () => {
  const first = await eventually('a cosigned checkpoint', () =>
    checkpointNow().cosigned ? checkpointNow() : undefined,
  );
  await demo.call(session, 'probe/fail', {});
  await eventually('a larger one', () => checkpointNow().size > first.size && checkpointNow().cosigned);
  expect(await (await fetch(stack.status.witness?.url ?? '')).json()).toMatchObject({
    vkey: stack.status.witness?.vkey,
    logs: [trust.origin],
  });
});

test('a call that has to be witnessed waits for that and runs', async () => {
  const reply = await demo.call(session, 'probe/echo', { text: 'witnessed' });
  expect(reply).toMatchObject({ status: 'ok', code: 'OK' });
  const decided = await evidence.event('call.decided', reply.evidence?.decided);
  expect(decided.data.decision.obligations).toEqual({ witnessed: true });
  expect(checkpointNow().size).toBeGreaterThan(
    evidence.entries().find(({ event }) => event.id === decided.id)?.index ?? Number.NaN,
  );
});

test('many at once do, too', async () => {
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, i) => demo.call(session, 'probe/echo', { text: `at once ${i}` })),
  );
  expect(replies.map(({ status }) => status)).toEqual(Array(20).fill('ok'));
});

describe('an ingress that was taken over', () => {
  let ingress: Bus;
  let execute: Batcher<ExecuteAsk, ExecuteAnswer>;
  beforeAll(async () => {
    ingress = await stack.connect('ingress');
    execute = ingress.batcher(runnerExecute);
  });
  const permitted = async (text: string): Promise<ExecuteAsk> => {
    const call: TheCall = {
      call: newId('call', Date.now()),
      tenant: 'default',
      agent: 'demo',
      session,
      tool: 'probe/echo',
      arguments: { text },
      deadline: Date.now() + 9_000,
    };
    const { permit, decision } = await ingress.batcher(policyDecide)(call);
    if (!permit) throw new Error(`policy did not permit: ${decision.reason}`);
    const { epoch } = await ingress.batcher(killCheck)({ tenant: 'default', agent: 'demo', session, tool: call.tool });
    return { ...call, permit, epoch };
  };
  /** A true proof, of a call that ran honestly. */
  const proven = async (): Promise<WitnessedEntry> => {
    const reply = await demo.call(session, 'probe/echo', { text: 'honest' });
    const event = reply.evidence?.decided ?? '';
    return ingress.batcher(auditWitnessed)({ event, deadline: Date.now() + 3_000 });
  };

  test('is given true proofs by audit', async () => {
    const { entry, proof } = await proven();
    expect(verifyProof(proof, { leafHash: leafHash(entry), ...trust })).toMatchObject({ ok: true });
    expect(Buffer.byteLength(proof)).toBeLessThan(2_048);
  });

  test.each<[string, () => Promise<WitnessedEntry | undefined>, RegExp]>([
    ['no proof', async () => undefined, /no proof came with it$/],
    ['the proof of another call', proven, /the entry is about another call$/],
  ])('gets nothing run with %s', async (what, prove, reason) => {
    const witnessed = await prove();
    const answer = await execute({ ...(await permitted(what)), ...(witnessed && { witnessed }) });
    expect(answer).toMatchObject({ outcome: 'refused', code: 'EVIDENCE_UNAVAILABLE' });
    expect(answer.reason).toMatch(reason);
    expect(stack.probe.starts(what)).toBe(0);
  });
});

describe('while the witness is silent', () => {
  beforeAll(() => stack.kill('witness', 'SIGSTOP'));
  afterAll(() => stack.kill('witness', 'SIGCONT'));

  test('what has to be witnessed is denied and does not run; all else runs, and checkpoints go on', async () => {
    const { size } = checkpointNow();
    const reply = await demo.call(session, 'probe/echo', { text: 'unwitnessed' });
    expect(reply).toMatchObject({ status: 'unavailable', code: 'EVIDENCE_UNAVAILABLE' });
    expect(reply.reason).toBe(
      'nothing ran: the decision was not witnessed in time: no quorum of witnesses has cosigned it',
    );
    expect(stack.probe.starts('unwitnessed')).toBe(0);
    expect(await demo.call(session, 'probe/fail', {})).toMatchObject({ status: 'tool_error' });
    const completed = await evidence.event('call.completed', reply.evidence?.completed);
    expect(completed.data).toMatchObject({ outcome: 'aborted', code: 'EVIDENCE_UNAVAILABLE' });
    await eventually('a larger checkpoint', () => checkpointNow().size > size);
  });

  test('it is witnessed again once the witness is back', async () => {
    stack.kill('witness', 'SIGCONT');
    await eventually(
      'a call is witnessed',
      async () => (await demo.call(session, 'probe/echo', { text: 'again' })).status === 'ok',
      20_000,
    );
  });
});

test('a witness that was killed comes back with what it remembers', async () => {
  const was = stack.pid('witness');
  stack.kill('witness', 'SIGKILL');
  await stack.restarted('witness', was);
  await eventually(
    'a call is witnessed',
    async () => (await demo.call(session, 'probe/echo', { text: 'after a crash' })).status === 'ok',
    20_000,
  );
});
