import { createConnection, createServer, type Socket } from 'node:net';
import {
  AgentGateError,
  batch,
  broadcast,
  killStream,
  killSubject,
  notice,
  policyDecide,
  policyVisible,
  request,
} from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Bus, connectBus, WrongRevision } from '../src/index.ts';

const v = z.literal(1);
const item = z.strictObject({ i: z.int() });
/** Contracts of the test's own, spoken by users that may say everything in account CORE. */
const double = request('test.double', {
  ask: z.strictObject({ v, n: z.int() }),
  answer: z.strictObject({ v, n: z.int() }),
  by: ['ingress'],
  of: 'policy',
  timeoutMs: 300,
});
const square = batch('test.square', {
  ask: item,
  answer: item,
  by: ['ingress'],
  of: 'policy',
  items: 64,
  late: false,
  timeoutMs: 500,
});
const slowly = batch('test.slowly', {
  ask: item,
  answer: item,
  by: ['ingress'],
  of: 'tool-runner',
  items: 64,
  late: true,
  timeoutMs: 500,
});
const count = broadcast('test.count', {
  ask: z.strictObject({ v }),
  answer: z.strictObject({ v, instance: z.string() }),
  by: ['ingress'],
  of: ['policy'],
  timeoutMs: 300,
});
const word = notice('test.word', { body: z.strictObject({ v, word: z.string() }), by: ['ingress'], of: ['policy'] });

let ground: Ground;
let asker: Bus;
let server: Bus;
let second: Bus;

const api = async (subject: string): Promise<{ consumers?: string[] }> =>
  JSON.parse(
    new TextDecoder().decode(await asker.requestRaw(`$JS.API.${subject}`, '', { of: 'JetStream', timeoutMs: 5_000 })),
  );
const takeConsumersAway = async (stream: string) => {
  const { consumers = [] } = await api(`CONSUMER.NAMES.${stream}`);
  for (const consumer of consumers) await api(`CONSUMER.DELETE.${stream}.${consumer}`);
};
/** A way to NATS that can lose what the server sends, and break. */
const openWire = async () => {
  const { hostname: host, port } = new URL(ground.natsUrl);
  const sockets = new Set<Socket>();
  let isDeaf = false;
  const wire = createServer((client) => {
    const nats = createConnection({ host, port: Number(port) });
    client.on('data', (bytes) => nats.write(bytes));
    nats.on('data', (bytes) => isDeaf || client.write(bytes));
    for (const [one, other] of [
      [client, nats],
      [nats, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => void wire.listen(0, '127.0.0.1', resolve));
  const breakAll = () => {
    for (const socket of sockets) socket.destroy();
    isDeaf = false;
  };
  return {
    url: `nats://127.0.0.1:${(wire.address() as { port: number }).port}`,
    lose: () => {
      isDeaf = true;
    },
    break: breakAll,
    close: () => {
      wire.close();
      breakAll();
    },
  };
};
const everything = async (user: string, instance: string, servers = ground.natsUrl) =>
  connectBus({
    servers,
    creds: await ground.mintUser({ account: 'CORE', user, pub: ['>'], sub: ['>'] }),
    user,
    instance,
  });

beforeAll(async () => {
  ground = await startGround({ redis: false });
  [asker, server, second] = await Promise.all([
    everything('asker', 'a-1'),
    everything('server', 's-1'),
    everything('server', 's-2'),
  ]);
});
afterAll(async () => {
  await Promise.all([asker, server, second].map((bus) => bus?.close()));
  await ground?.stop();
});

describe('a request', () => {
  test('is answered', async () => {
    server.serve(double, async ({ n }) => ({ v: 1, n: n * 2 }));
    await server.flush();
    expect(await asker.ask(double, { v: 1, n: 21 })).toEqual({ v: 1, n: 42 });
  });

  test('hears how it goes where the asker wants to, and nobody else does', async () => {
    const slow = { ...double, subject: 'test.slow-double' };
    const told: boolean[] = [];
    server.serveRaw(slow, async (body, { tell }) => {
      const { n } = JSON.parse(new TextDecoder().decode(body)) as { n: number };
      told.push(tell !== undefined);
      for (let i = 1; i <= n; i++) tell?.({ i });
      return { v: 1, n: n * 2 };
    });
    await server.flush();
    const notes: unknown[] = [];
    const answer = await asker.ask(slow, { v: 1, n: 3 }, { onProgress: (note) => void notes.push(note) });
    expect([answer, notes]).toEqual([{ v: 1, n: 6 }, [{ i: 1 }, { i: 2 }, { i: 3 }]]);
    expect(await asker.ask(slow, { v: 1, n: 3 })).toEqual({ v: 1, n: 6 });
    expect(told).toEqual([true, false]);
  });

  test('fails with the handler’s own code, and with INTERNAL and no message for an error of another kind', async () => {
    const other = { ...double, subject: 'test.fails' };
    server.serve(other, async ({ n }) => {
      throw n === 1 ? new AgentGateError('RATE_LIMITED', 'slow down') : new Error('secret');
    });
    await server.flush();
    await expect(asker.ask(other, { v: 1, n: 1 })).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      message: 'slow down',
    });
    await expect(asker.ask(other, { v: 1, n: 2 })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: 'internal error',
    });
  });

  test('names the field of an ask that is not in form', async () => {
    await expect(asker.ask(double, { v: 1, n: 'x' } as never)).rejects.toMatchObject({
      code: 'FIELD_INVALID',
      message: expect.stringContaining('/n'),
    });
  });

  test('fails with the part that is not running, that is silent, and that answers nonsense', async () => {
    await expect(asker.ask({ ...double, subject: 'test.nobody' }, { v: 1, n: 1 })).rejects.toMatchObject({
      code: 'POLICY_UNAVAILABLE',
      message: 'policy is not running',
    });
    const silent = { ...double, subject: 'test.silent' };
    server.serve(silent, () => new Promise(() => {}));
    const liar = { ...double, subject: 'test.liar' };
    server.serveRaw(liar, async () => ({ v: 1, n: 'many' }));
    await server.flush();
    await expect(asker.ask(silent, { v: 1, n: 1 })).rejects.toMatchObject({
      code: 'POLICY_UNAVAILABLE',
      message: 'policy did not answer within 300 ms',
    });
    await expect(asker.ask(liar, { v: 1, n: 1 })).rejects.toMatchObject({
      code: 'POLICY_UNAVAILABLE',
      message: 'policy gave a malformed answer',
    });
  });
});

describe('a batch', () => {
  test('gives each item its own answer, in far fewer messages than items', async () => {
    const sizes: number[] = [];
    server.serveBatch(square, async (asks) => {
      sizes.push(asks.length);
      return asks.map(({ i }) => (i === 13 ? new AgentGateError('RATE_LIMITED', 'unlucky') : { i: i * i }));
    });
    await server.flush();
    const ask = asker.batcher(square);
    const answers = await Promise.allSettled(Array.from({ length: 500 }, (_, i) => ask({ i })));
    expect(answers.map((a) => (a.status === 'fulfilled' ? a.value.i : a.reason.code))).toEqual(
      Array.from({ length: 500 }, (_, i) => (i === 13 ? 'RATE_LIMITED' : i * i)),
    );
    expect(sizes.length).toBeLessThan(20);
  });

  test('refuses only the item that is not in form', async () => {
    const ask = asker.batcher(square);
    const [good, bad] = await Promise.allSettled([ask({ i: 3 }), ask({ i: 'x' } as never)]);
    expect(good).toMatchObject({ status: 'fulfilled', value: { i: 9 } });
    expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'FIELD_INVALID' } });
  });

  test('fails every item when nobody listens', async () => {
    const ask = asker.batcher({ ...square, subject: 'test.nobody' });
    for (const got of await Promise.allSettled([ask({ i: 1 }), ask({ i: 2 })]))
      expect(got).toMatchObject({ reason: { code: 'POLICY_UNAVAILABLE' } });
  });

  test('with late answers: a slow item holds up nobody', async () => {
    server.serveLate(slowly, async ({ i }) => {
      await new Promise((resolve) => setTimeout(resolve, i));
      return { i };
    });
    await server.flush();
    const ask = asker.batcher(slowly);
    const order: number[] = [];
    let taken = 0;
    await Promise.all(
      [200, 1, 50].map((i) => ask({ i }, { timeoutMs: 2_000, onTaken: () => taken++ }).then((a) => order.push(a.i))),
    );
    expect(order).toEqual([1, 50, 200]);
    expect(taken).toBe(3);
  });

  test('with late answers: one that was sent and never taken over may have run', async () => {
    const lost = { ...slowly, subject: 'test.lost' };
    server.serveRaw({ ...double, subject: 'test.lost' }, () => new Promise(() => {}));
    await server.flush();
    await expect(asker.batcher(lost)({ i: 1 }, { timeoutMs: 5_000 })).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
    });
  });
});

test('a broadcast reaches every instance and ends when enough answered', async () => {
  for (const bus of [server, second]) {
    bus.serveBroadcast(count, async () => ({ v: 1 as const, instance: bus.instance }));
    await bus.flush();
  }
  const answers = await asker.broadcast(count, { v: 1 }, { enough: (all) => all.length === 2, timeoutMs: 5_000 });
  expect(answers.map((a) => a.instance).sort()).toEqual(['s-1', 's-2']);
});

test('a service tells `nats micro` the same endpoint in INFO as in STATS', async () => {
  server.answerMicro({ service: 'micro-test', version: '1.2.3', description: 'a test' });
  const about = async (verb: string): Promise<unknown> =>
    JSON.parse(
      new TextDecoder().decode(await asker.requestRaw(`$SRV.${verb}.micro-test`, '', { of: 'policy', timeoutMs: 500 })),
    );
  const endpoint = { name: 'micro-test', subject: 'svc.v1.micro-test.>', queue_group: 'micro-test' };
  await expect.poll(() => about('INFO').catch(() => undefined)).toMatchObject({ id: 's-1', endpoints: [endpoint] });
  expect(await about('STATS')).toMatchObject({ endpoints: [{ ...endpoint, num_errors: expect.any(Number) }] });
});

test('a notice that is not in form is not handed on', async () => {
  const heard: string[] = [];
  server.hear(word, (body) => heard.push(body.word));
  await server.flush();
  asker.notify(word, { v: 1, word: 3 } as never);
  asker.notify(word, { v: 1, word: 'yes' });
  await expect.poll(() => heard).toEqual(['yes']);
});

describe('streams', () => {
  test('acknowledge, refuse a wrong revision, and store a repeated id once', async () => {
    const subject = killSubject('bus-test');
    const first = await asker.publishDurable(subject, '{"a":1}', { id: 'x1', timeoutMs: 2_000 });
    expect(first).toMatchObject({ stream: 'KILL', duplicate: false });
    expect(await asker.publishDurable(subject, '{"a":1}', { id: 'x1', timeoutMs: 2_000 })).toMatchObject({
      seq: first.seq,
      duplicate: true,
    });
    await expect(
      asker.publishDurable(subject, '{"a":2}', { expectedLastSubjectSeq: 0, timeoutMs: 2_000 }),
    ).rejects.toBeInstanceOf(WrongRevision);
  });

  test('are followed from the start, on, and again after a restart of the server', async () => {
    const seen: number[] = [];
    const follower = await asker.follow(killStream.name, { onMessage: (m) => seen.push(m.seq) });
    const before = seen.length;
    expect(before).toBeGreaterThan(0);
    await asker.publishDurable(killSubject('two'), '{}', { timeoutMs: 2_000 });
    await expect.poll(() => seen.length).toBe(before + 1);
    await ground.nats.stop();
    await ground.nats.start();
    await expect.poll(() => asker.connected() && server.connected(), { timeout: 10_000 }).toBe(true);
    const { seq } = await asker.publishDurable(killSubject('three'), '{}', { timeoutMs: 5_000 });
    await expect.poll(() => seen.at(-1), { timeout: 10_000 }).toBe(seq);
    expect(new Set(seen).size).toBe(seen.length);
    await follower.close();
  });

  test('are followed by some of their subjects alone, also after the consumer was taken away', async () => {
    const seen: string[] = [];
    const [wanted, other] = [killSubject('wanted'), killSubject('other')];
    const follower = await asker.follow(killStream.name, {
      subjects: [wanted],
      wait: false,
      onMessage: (m) => seen.push(m.subject),
    });
    await asker.publishDurable(other, '{}', { timeoutMs: 2_000 });
    await asker.publishDurable(wanted, '{}', { timeoutMs: 2_000 });
    await expect.poll(() => seen).toEqual([wanted]);
    expect(await follower.pending()).toBe(0);
    await takeConsumersAway(killStream.name);
    await asker.publishDurable(wanted, '{}', { timeoutMs: 2_000 });
    await expect.poll(() => seen, { timeout: 15_000 }).toEqual([wanted, wanted]);
    await follower.close();
  });

  test.each([
    ['all', undefined],
    ['some', [killSubject('sent')]],
  ])(
    'of %s subjects, what was sent into a connection that broke comes again, and is behind until then',
    async (of, subjects) => {
      const wire = await openWire();
      const reader = await everything('reader', `r-${of}`, wire.url);
      const seen: number[] = [];
      const follower = await reader.follow(killStream.name, {
        ...(subjects && { subjects }),
        wait: false,
        onMessage: (m) => seen.push(m.seq),
      });
      const publish = async () => (await asker.publishDurable(killSubject('sent'), '{}', { timeoutMs: 2_000 })).seq;
      const first = await publish();
      await expect.poll(() => seen.at(-1)).toBe(first);
      expect(await follower.pending()).toBe(0);
      wire.lose();
      const lost = await publish();
      await new Promise((resolve) => setTimeout(resolve, 200));
      wire.break();
      await expect.poll(() => follower.pending().catch(() => 0), { timeout: 10_000 }).toBe(1);
      await expect.poll(() => seen.at(-1), { timeout: 10_000 }).toBe(lost);
      await expect.poll(() => follower.pending()).toBe(0);
      await follower.close();
      await reader.close();
      wire.close();
    },
  );

  test('hand on messages that may be taken apart', async () => {
    const seen: unknown[] = [];
    const follower = await asker.follow(killStream.name, {
      onMessage: ({ subject, data, time, header }) =>
        seen.push([subject, new TextDecoder().decode(data), time, header('Ag-Test'), header('Ag-None')]),
    });
    const subject = killSubject('apart');
    await asker.publishDurable(subject, '{"a":1}', { headers: { 'Ag-Test': 'yes' }, timeoutMs: 2_000 });
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);
    await expect.poll(() => seen.at(-1)).toEqual([subject, '{"a":1}', time, 'yes', undefined]);
    await follower.close();
  });

  test('are asked for the message of one sequence, where it stands', async () => {
    const subject = killSubject('at');
    const { seq } = await asker.publishDurable(subject, '{"a":1}', { headers: { 'Ag-Test': 'yes' }, timeoutMs: 2_000 });
    const found = await asker.messageAt(killStream.name, seq);
    expect(found).toMatchObject({ subject, data: new TextEncoder().encode('{"a":1}') });
    expect([found?.header('Ag-Test'), found?.header('Ag-None')]).toEqual(['yes', undefined]);
    expect(await asker.messageAt(killStream.name, seq + 1)).toBeUndefined();
  });

  test('buckets compare and set', async () => {
    const bucket = asker.bucket('LEASES');
    const revision = await bucket.create('k', 'one');
    await expect(bucket.create('k', 'two')).rejects.toBeInstanceOf(WrongRevision);
    await bucket.update('k', 'two', revision);
    await expect(bucket.update('k', 'three', revision)).rejects.toBeInstanceOf(WrongRevision);
    expect(new TextDecoder().decode((await bucket.get('k'))?.value)).toBe('two');
    const entries: string[] = [];
    const watch = await bucket.watch((e) => entries.push(`${e.operation} ${new TextDecoder().decode(e.value)}`));
    expect(entries).toEqual(['PUT two']);
    await bucket.purge('k');
    await expect.poll(() => entries).toEqual(['PUT two', 'PURGE ']);
    await bucket.create('k', 'again');
    await watch.close();
  });
});

test('what is pending is rejected as soon as the connection breaks', async () => {
  const silent = { ...double, subject: 'test.silent-again' };
  server.serve(silent, () => new Promise(() => {}));
  await server.flush();
  const started = performance.now();
  const pending = asker.ask(silent, { v: 1, n: 1 }, { timeoutMs: 20_000 });
  const refused = expect(pending).rejects.toMatchObject({ code: 'POLICY_UNAVAILABLE' });
  await ground.nats.stop();
  await refused;
  expect(performance.now() - started).toBeLessThan(10_000);
  await ground.nats.start();
});

test('a service’s user may not answer in another’s place or listen to it', async () => {
  await expect.poll(() => server.connected(), { timeout: 10_000 }).toBe(true);
  const runner = await ground.connect('tool-runner');
  let stolen = 0;
  runner.serveBatch(policyDecide, async (asks) => {
    stolen += asks.length;
    return [];
  });
  runner.serve(policyVisible, async () => ({ v: 1 as const, tools: [] }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const ingress = await ground.connect('ingress');
  await expect(ingress.ask(policyVisible, { v: 1, tenant: 'default', agent: 'demo' })).rejects.toMatchObject({
    code: 'POLICY_UNAVAILABLE',
  });
  expect(stolen).toBe(0);
});
