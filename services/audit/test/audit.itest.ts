import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus, Follower, StreamMessage } from '@agentgate/bus';
import { auditConsumer, checkpointSubject, eventsSubject, type ServiceName } from '@agentgate/contracts';
import { createSealCache, type Entry, leafHash, signingKeyFromSeed, verifyEntry } from '@agentgate/evidence';
import { logOrigin } from '@agentgate/ground';
import { createProducer, type Producer } from '@agentgate/runtime';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openLog } from '../src/open-log.ts';
import { createAudit } from '../src/service.ts';
import { type AuditProcess, startAudit } from './audit-process.ts';
import { callOf, createTestProducer, decided } from './producer.ts';

let ground: Ground;
let audits: AuditProcess[] = [];
let followers: Follower[] = [];
beforeEach(async () => {
  ground = await startGround({ redis: false });
});
afterEach(async () => {
  await Promise.all(followers.map((f) => f.close()));
  await Promise.all(audits.map((a) => a.kill('SIGKILL')));
  await ground.stop();
  audits = [];
  followers = [];
});

const start = async (opts: Parameters<typeof startAudit>[1] = {}) => {
  const audit = await startAudit(ground, opts);
  audits.push(audit);
  return audit;
};
const quiet = { warn: () => {}, error: () => {} };
let starts = 0;
const producerOf = async (service: ServiceName): Promise<Producer> => {
  const instance = `p${++starts}`;
  return createProducer({
    bus: await ground.connect(service, { instance }),
    service,
    instance,
    key: ground.key(service),
    log: quiet,
    now: Date.now,
  });
};
const beat = (producer: Producer, events: number, timeoutMs = 20_000) =>
  producer.record(
    {
      name: 'producer.heartbeat',
      subject: 'test',
      tenant: 'default',
      data: { service: 'ingress', instance: 'i', events },
    },
    { timeoutMs },
  );

interface Read {
  index: number;
  entry: Entry;
}
/** What an auditor reads of EVIDENCE, each entry verified, without hole or repeat. */
const readEvidence = async () => {
  const read: Read[] = [];
  const wrong: string[] = [];
  const cache = createSealCache();
  const onMessage = (m: StreamMessage) => {
    if (m.subject === checkpointSubject) return;
    const text = new TextDecoder().decode(m.data);
    const index = Number(m.header('Ag-Index'));
    const verdict = verifyEntry(text, { keys: ground.trust, cache });
    if (index !== read.length) wrong.push(`index ${index} after ${read.length - 1}`);
    if (m.header('Ag-Leaf-Hash') !== leafHash(text).toString('hex')) wrong.push(`leaf hash of ${index}`);
    if (!verdict.ok) wrong.push(`${index}: ${verdict.reason}`);
    else read.push({ index, entry: verdict.entry });
  };
  const bus = await ground.connect('auditor', { instance: `reader-${++starts}` });
  followers.push(await bus.follow('EVIDENCE', { onMessage }));
  return {
    read,
    wrong,
    ids: () => new Set(read.map((r) => r.entry.event.id)),
    ofType: (name: string) =>
      read.filter((r) => r.entry.event.type === `agentgate.${name}.v1`).map((r) => r.entry.event),
  };
};
const eventually = (check: () => void, timeout = 20_000) => vi.waitFor(check, { timeout, interval: 50 });
/** Everything recorded is in EVIDENCE, exactly once, and nothing was found wrong with it. */
const expectAll = async (ids: string[], timeout?: number) => {
  const evidence = await readEvidence();
  await eventually(() => {
    const there = evidence.ids();
    expect(ids.filter((id) => !there.has(id)).length).toBe(0);
  }, timeout);
  expect(evidence.wrong).toEqual([]);
  expect(evidence.ids().size).toBe(evidence.read.length);
  expect(evidence.ofType('evidence.anomaly')).toEqual([]);
  return evidence;
};

test('brings every event to EVIDENCE under its tenant and type, verified and in order', async () => {
  await start();
  const producer = await producerOf('ingress');
  const ids = await Promise.all(Array.from({ length: 300 }, (_, i) => beat(producer, i)));
  const evidence = await expectAll(ids);
  const own = evidence.read.filter((r) => ids.includes(r.entry.event.id)).map((r) => r.entry.event.id);
  expect(own).toEqual(ids);
  const last = await (await ground.connect('auditor')).lastMessage(
    'EVIDENCE',
    'evidence.v1.default.agentgate.producer.heartbeat.v1',
  );
  expect(last?.header('Ag-Index')).toBeDefined();
  expect(evidence.ofType('producer.started').map((e) => e.source)).toEqual([
    expect.stringMatching(/^agentgate\/audit\//),
  ]);
});

test('stops in order on SIGTERM and leaves the AUDIT stream empty but for its own last event', async () => {
  const audit = await start();
  const producer = await producerOf('ingress');
  const ids = await Promise.all(Array.from({ length: 50 }, (_, i) => beat(producer, i)));
  await expectAll(ids);
  expect(await audit.kill('SIGTERM')).toBe(0);
  const bus = await ground.connect('audit-log');
  expect((await bus.streamInfo('AUDIT')).messages).toBeLessThanOrEqual(2);
});

test('appends a batch once when it was killed between commit and acknowledgement', async () => {
  const folder = join(ground.dir, 'audit');
  const producer = await producerOf('ingress');
  const ids = await Promise.all(Array.from({ length: 40 }, (_, i) => beat(producer, i)));
  // The same domain on the same disk, whose acknowledgements never leave: what a SIGKILL between the two comes to.
  const bus = await ground.connect('audit-log');
  const { store, sequencer, close } = await openLog(
    {
      folder,
      lockFolder: join(ground.dir, 'lock'),
      witnessesFile: ground.deployment.witnessesFile,
      origin: logOrigin,
      logKey: signingKeyFromSeed(readFileSync(ground.deployment.keys.logKeyFile, 'utf8').trim()),
      keyEvents: [],
    },
    {
      now: Date.now,
      onWait: () => expect.fail('another one sequences'),
      onPublished: () => {},
      onTrouble: (error) => expect.fail(String(error)),
      onFailure: (error) => expect.fail(String(error)),
    },
  );
  const options = {
    store,
    disclosures: { keep: () => {} },
    tree: sequencer,
    keys: ground.trust,
    now: Date.now,
    graceTicks: 12,
    maxHeld: 128,
  };
  const dying = createAudit(options);
  const consumption = bus.consume(auditConsumer.stream, auditConsumer.name, {
    maxMessages: 16,
    onMessages: async (messages) => void dying.take(messages),
  });
  await eventually(() => expect(store.size()).toBe(40));
  const closing = consumption.close();
  await bus.close();
  await closing;
  await close();
  expect((await (await ground.connect('audit-log')).streamInfo('AUDIT')).messages).toBeGreaterThan(0);
  await start();
  ids.push(await beat(producer, 41));
  await expectAll(ids);
  await eventually(async () =>
    expect((await (await ground.connect('audit-log')).streamInfo('AUDIT')).messages).toBe(0),
  );
});

test('has every event once, without a false hole, after several SIGKILLs under load', { timeout: 90_000 }, async () => {
  const producers = [await producerOf('ingress'), await producerOf('policy')];
  const recorded: Promise<string>[] = [];
  const load = setInterval(() => {
    for (const producer of producers) for (let i = 0; i < 5; i++) recorded.push(beat(producer, i));
  }, 5);
  for (const ms of [150, 40, 400]) {
    const audit = await start();
    await sleep(ms);
    expect(await audit.kill('SIGKILL')).toBe('SIGKILL');
  }
  await start();
  await sleep(500);
  clearInterval(load);
  await expectAll(await Promise.all(recorded), 60_000);
});

test('has every event once when NATS is killed under load', { timeout: 90_000 }, async () => {
  await start();
  const producer = await producerOf('ingress');
  const recorded: Promise<string>[] = [];
  const load = setInterval(() => recorded.push(beat(producer, 1, 30_000)), 2);
  for (let i = 0; i < 3; i++) {
    await sleep(300);
    await ground.nats.kill('SIGKILL');
    await ground.nats.start();
  }
  await sleep(1_000);
  clearInterval(load);
  await expectAll(await Promise.all(recorded), 60_000);
});

test('tells of forged and broken evidence by an event of its own, and goes on', async () => {
  const audit = await start();
  const broken = await ground.connect('policy');
  const send = (body: string) => broken.publishDurable(eventsSubject('policy'), body, { timeoutMs: 2_000 });
  const forger = createTestProducer('ingress', { key: ground.key('policy') });
  await send('not JSON');
  await send(forger.seal(forger.beats(1)));
  const good = await beat(await producerOf('ingress'), 1);
  const evidence = await readEvidence();
  await eventually(() => {
    expect(evidence.ids().has(good)).toBe(true);
    expect(evidence.ofType('evidence.anomaly').map((e) => e.data)).toEqual([
      { kind: 'malformed', about: 'events.v1.policy', detail: expect.stringContaining('not a JSON object') },
      {
        kind: 'unknown_key',
        about: 'events.v1.policy',
        detail: expect.stringContaining(`no key ${ground.key('policy').keyid} of agentgate/ingress/i1`),
      },
    ]);
  });
  expect(evidence.wrong).toEqual([]);
  expect(audit.log()).toContain('"kind":"unknown_key"');
});

test('reports an orphan after a restart, from its own table', { timeout: 60_000 }, async () => {
  const audit = await start();
  const producer = await producerOf('ingress');
  const call = callOf(7);
  const id = await producer.record({
    name: 'call.decided',
    subject: call,
    tenant: 'default',
    session: 'ses_0123456789',
    data: decided(call, Date.now() - 7_000),
  });
  await expectAll([id]);
  await audit.kill('SIGKILL');
  await start();
  const evidence = await readEvidence();
  await eventually(() =>
    expect(evidence.ofType('evidence.anomaly')).toMatchObject([
      { session: 'ses_0123456789', data: { kind: 'orphan', about: call } },
    ]),
  );
});

test('refuses to go on when EVIDENCE has what its log does not', async () => {
  const audit = await start();
  await expectAll([await beat(await producerOf('ingress'), 1)]);
  await audit.kill('SIGKILL');
  const elsewhere = { folder: join(ground.dir, 'another'), lockFolder: join(ground.dir, 'another-lock') };
  const other = await start(elsewhere).catch((error: Error) => error);
  const text = other instanceof Error ? other.message : await other.exited.then(() => other.log());
  expect(text).toMatch(/EVIDENCE holds entry \d+ with leaf hash [0-9a-f]{64}, and the log has/);
});

test('ends when its disk is full, and has everything once when there is room again', { timeout: 60_000 }, async () => {
  const audit = await start({ fileBlocks: 2_000 });
  const producer = await producerOf('ingress');
  const ids = await Promise.all(Array.from({ length: 2_000 }, (_, i) => beat(producer, i)));
  expect(await audit.exited).not.toBe(0);
  await start();
  await expectAll(ids, 40_000);
});

test('publishes nothing that it should not be able to', async () => {
  const bus: Bus = await ground.connect('audit-log');
  await expect(bus.requestRaw('$JS.API.STREAM.PURGE.AUDIT', '', { of: 'JetStream', timeoutMs: 500 })).rejects.toThrow();
});
