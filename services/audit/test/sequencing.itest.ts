import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventsSubject } from '@agentgate/contracts';
import { signingKeyFromSeed } from '@agentgate/evidence';
import { logOrigin } from '@agentgate/ground';
import { createProducer, type Producer } from '@agentgate/runtime';
import { freePort, type Ground, startGround } from '@agentgate/testkit';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type AuditProcess, startAudit } from './audit-process.ts';
import { createTestProducer } from './producer.ts';
import { verifyFolder } from './verify-folder.ts';

let ground: Ground;
let audits: AuditProcess[] = [];
beforeEach(async () => {
  ground = await startGround({ redis: false });
});
afterEach(async () => {
  await Promise.all(audits.map((a) => a.kill('SIGKILL')));
  await ground.stop();
  audits = [];
});
const start = async (opts: Parameters<typeof startAudit>[1] = {}) => {
  const audit = await startAudit(ground, opts);
  audits.push(audit);
  return audit;
};
let starts = 0;
const newProducer = async (): Promise<Producer> => {
  const instance = `s${++starts}`;
  const bus = await ground.connect('ingress', { instance });
  const log = { warn: () => {}, error: () => {} };
  return createProducer({ bus, service: 'ingress', instance, key: ground.key('ingress'), log, now: Date.now });
};
const beat = (producer: Producer) =>
  producer.record(
    { name: 'producer.heartbeat', subject: 'test', data: { service: 'ingress', instance: 'i', events: 1 } },
    { timeoutMs: 20_000 },
  );
const beats = (producer: Producer, count: number) => Promise.all(Array.from({ length: count }, () => beat(producer)));

const logDir = () => join(ground.dir, 'audit', 'log');
const verify = (read = (path: string): Uint8Array => readFileSync(join(logDir(), path))) => {
  const seed = readFileSync(ground.deployment.keys.logKeyFile, 'utf8').trim();
  const { size, texts } = verifyFolder(read, { origin: logOrigin, publicKey: signingKeyFromSeed(seed).publicKey });
  const events = texts.map((text) => (JSON.parse(text) as { event: Record<string, unknown> }).event);
  return { size, events, ids: events.map(({ id }) => id) };
};
const eventually = (check: () => void | Promise<void>, timeout = 30_000) =>
  vi.waitFor(check, { timeout, interval: 50 });
const holdsAll = (ids: string[]) =>
  eventually(() => {
    const there = verify().ids;
    expect(ids.filter((id) => !there.includes(id))).toEqual([]);
    expect(new Set(there).size).toBe(there.length);
  });

test('begins with the keys of its producers, sealed by the deployment, and serves every file of the log and nothing else', {
  timeout: 60_000,
}, async () => {
  const port = await freePort();
  await start({ httpPort: port });
  const ids = await beats(await newProducer(), 600);
  await holdsAll(ids);
  const { events } = verify();
  expect(events[0]).toMatchObject({
    source: 'agentgate/deployment/ground',
    type: 'agentgate.key.added.v1',
    data: { service: 'deployment' },
  });
  const keys = events.filter(({ type }) => type === 'agentgate.key.added.v1').map(({ data }) => data);
  expect(keys).toContainEqual({
    service: 'ingress',
    keyid: ground.key('ingress').keyid,
    key: ground.key('ingress').publicKey,
  });
  const get = (path: string) => fetch(`http://127.0.0.1:${port}/log/${path}`);
  const cacheOf = async (path: string) => {
    const answer = await get(path);
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(readFileSync(join(logDir(), path)));
    return answer.headers.get('cache-control');
  };
  expect(await cacheOf('tile/0/000')).toBe('public, max-age=31536000, immutable');
  expect(await cacheOf('tile/entries/001')).toBe('public, max-age=31536000, immutable');
  const checkpoint = await get('checkpoint');
  expect([checkpoint.headers.get('cache-control'), (await checkpoint.text()).split('\n')[0]]).toEqual([
    'no-store',
    logOrigin,
  ]);
  for (const path of ['', 'tile', 'tile/0', 'tile/0/..%2f..%2f..%2fevidence.db', '..%2fevidence.db', 'tile/0/999'])
    expect([path, (await get(path)).status]).toEqual([path, 404]);
});

test('sequences one at a time: the second waits, and goes on where the first was killed', {
  timeout: 90_000,
}, async () => {
  const first = await start();
  const waiting = start();
  const producer = await newProducer();
  const ids = await beats(producer, 50);
  await holdsAll(ids);
  await first.kill('SIGKILL');
  const second = await waiting;
  expect(second.log()).toContain('another audit sequences the log; waiting');
  ids.push(...(await beats(producer, 50)));
  await holdsAll(ids);
});

test('publishes nothing after it was frozen and another took over', { timeout: 120_000 }, async () => {
  const stale = await start();
  const producer = await newProducer();
  const ids = await beats(producer, 20);
  await holdsAll(ids);
  stale.signal('SIGSTOP');
  const fresh = await start();
  ids.push(...(await beats(producer, 30)));
  await holdsAll(ids);
  stale.signal('SIGCONT');
  expect(await stale.exited).not.toBe(0);
  expect(stale.log()).toContain('another process sequences this log now');
  ids.push(...(await beats(producer, 30)));
  await holdsAll(ids);
  expect(fresh.log()).not.toContain('"level":60');
});

test('refuses to sign a fork when its folder was restored from a backup', { timeout: 90_000 }, async () => {
  const folder = join(ground.dir, 'audit');
  const producer = await newProducer();
  const first = await start();
  await holdsAll(await beats(producer, 20));
  await first.kill('SIGKILL');
  cpSync(folder, join(ground.dir, 'backup'), { recursive: true });
  const second = await start();
  await holdsAll(await beats(producer, 20));
  await second.kill('SIGKILL');
  rmSync(folder, { recursive: true });
  cpSync(join(ground.dir, 'backup'), folder, { recursive: true });
  await expect(start()).rejects.toThrow(/a checkpoint of \d+ entries was signed, and evidence\.db has only \d+/);
});

test('has everything in a log that verifies after SIGKILLs at any moment', { timeout: 180_000 }, async () => {
  const producer = await newProducer();
  const recorded: Promise<string>[] = [];
  const load = setInterval(() => {
    for (let i = 0; i < 20; i++) recorded.push(beat(producer));
  }, 5);
  for (const ms of [30, 90, 170, 260]) {
    const audit = await start();
    await sleep(ms);
    await audit.kill('SIGKILL');
    verify();
  }
  await start();
  clearInterval(load);
  await holdsAll(await Promise.all(recorded));
});

test('takes no word of the deployment over NATS', { timeout: 60_000 }, async () => {
  const bus = await ground.connect('policy');
  const forger = createTestProducer('policy', { key: ground.key('policy') });
  const body = forger.seal(forger.beats(1));
  const forged = bus.publishDurable(eventsSubject('deployment'), body, { timeoutMs: 500 });
  await expect(forged).rejects.toThrow();
});
