import { describe, expect, test } from 'vitest';
import { alertOf } from '../src/payload.ts';
import { createFakeRecords, createWorld, eventOf, killed } from './fixtures.ts';

const fails = async () => ({ ok: false as const, problem: 'answered 500' });
const day = 86_400_000;
const recordsOf = (world: ReturnType<typeof createWorld>) => [...world.all.values()].map(({ record }) => record);

describe('an event', () => {
  test('reaches each endpoint whose patterns name it, and no other', async () => {
    const url = 'https://hooks.example/';
    const world = createWorld({
      endpoints: {
        all: { url },
        kills: { url, events: ['kill.*'] },
        contained: { url, events: ['kill.contained', 'tool.*'] },
        leases: { url, events: ['lease.irrevocable'] },
      },
    });
    await world.notifier.take(killed());
    await world.courier.settled();
    expect(world.sent.map(({ endpoint }) => endpoint).sort()).toEqual(['all', 'kills']);
  });

  test('is sent once however often it comes, also after it was delivered and after a restart', async () => {
    const alert = killed();
    const records = createFakeRecords();
    const first = createWorld({ records });
    await first.notifier.take(alert);
    await first.courier.settled();
    await first.notifier.take(alert);
    const reborn = createWorld({ records });
    await reborn.notifier.take(alert);
    await reborn.pass(day);
    expect([first.sent.length, reborn.sent.length]).toEqual([1, 0]);
    expect(recordsOf(first)).toMatchObject([{ id: `pager/${alert.event}`, state: 'delivered', tries: 1 }]);
  });

  test('is not taken while its record cannot be written: it has to come again', async () => {
    const fake = createFakeRecords();
    const world = createWorld({
      records: { ...fake, records: { ...fake.records, create: () => Promise.reject(new Error('no bucket')) } },
    });
    await expect(world.notifier.take(killed())).rejects.toThrow('no bucket');
    expect(world.sent).toEqual([]);
  });
});

describe('an alert that is not taken', () => {
  test('is tried again with the same id and the same body, and then no more once it is', async () => {
    const world = createWorld();
    world.outcome = fails;
    await world.notifier.take(killed());
    await world.courier.settled();
    await world.pass(4_999);
    expect(world.sent).toHaveLength(1);
    expect(recordsOf(world)).toMatchObject([{ state: 'waiting', tries: 1, problem: 'answered 500' }]);
    await world.pass(1);
    expect(world.sent).toHaveLength(2);
    world.outcome = async () => ({ ok: true });
    await world.pass(15_000);
    await world.pass(day);
    expect(world.sent).toHaveLength(3);
    expect(new Set(world.sent.map(({ id, body }) => `${id} ${body}`)).size).toBe(1);
    expect(world.tried).toEqual(['pager failed', 'pager failed', 'pager delivered']);
  });

  test('is dead after a day of tries, and is listed with why', async () => {
    const world = createWorld();
    world.outcome = fails;
    const alert = killed();
    await world.notifier.take(alert);
    await world.courier.settled();
    for (let hour = 0; hour < 26; hour++) for (let i = 0; i < 60; i++) await world.pass(60_000);
    expect(world.sent.length).toBeGreaterThan(12);
    expect((world.sent.at(-1)?.at ?? 0) - (world.sent[0]?.at ?? 0)).toBe(day);
    expect(world.notifier.list('waiting').endpoints).toMatchObject([{ endpoint: 'pager', waiting: 0, dead: 1 }]);
    expect(world.notifier.list('dead').alerts).toMatchObject([
      { id: `pager/${alert.event}`, state: 'dead', problem: 'answered 500' },
    ]);
  });

  test('is one of many that fail, and the log says so once, and again after the next that arrives', async () => {
    const world = createWorld();
    const failures = () => world.told.filter((line) => line === 'an alert was not delivered yet').length;
    world.outcome = fails;
    for (let i = 0; i < 20; i++) await world.notifier.take(killed());
    await world.courier.settled();
    expect([world.tried.length, failures()]).toEqual([20, 1]);
    world.outcome = async () => ({ ok: true });
    await world.pass(15_000);
    world.outcome = fails;
    await world.notifier.take(killed());
    await world.courier.settled();
    expect(failures()).toBe(2);
  });

  test('is dead at once where the receiver says that it takes none any more', async () => {
    const world = createWorld();
    world.outcome = async () => ({ ok: false, problem: 'answered 410', gone: true });
    await world.notifier.take(killed());
    await world.courier.settled();
    expect(world.notifier.list('dead').alerts).toMatchObject([{ state: 'dead', tries: 1, problem: 'answered 410' }]);
  });

  test('is given another day by an operator, one or all of an endpoint', async () => {
    const world = createWorld({
      endpoints: { a: { url: 'https://a.example/' }, b: { url: 'https://b.example/' } },
    });
    world.outcome = async () => ({ ok: false, problem: 'answered 410', gone: true });
    for (const alert of [killed(), killed()]) await world.notifier.take(alert);
    await world.courier.settled();
    world.outcome = async () => ({ ok: true });
    const [one] = world.notifier.list('dead').alerts.filter(({ endpoint }) => endpoint === 'a');
    expect(await world.notifier.retry(one?.id ?? '')).toBe(1);
    expect(await world.notifier.retry(one?.id ?? '')).toBe(0);
    expect(await world.notifier.retry('b')).toBe(2);
    expect(await world.notifier.retry('nobody')).toBe(0);
    await world.courier.settled();
    expect(world.notifier.list('dead').alerts.map(({ endpoint }) => endpoint)).toEqual(['a']);
    expect(recordsOf(world).filter(({ state }) => state === 'delivered')).toHaveLength(3);
  });

  test('is dead when its endpoint is configured no more', async () => {
    const records = createFakeRecords();
    const before = createWorld({ records });
    before.outcome = fails;
    await before.notifier.take(killed());
    await before.courier.settled();
    const after = createWorld({ records, endpoints: {} });
    for (const held of records.all.values()) after.index.put(held);
    await after.pass(60_000);
    expect(after.notifier.list('dead').alerts).toMatchObject([{ problem: 'agentgate.yaml names no endpoint pager' }]);
    expect(after.sent).toEqual([]);
  });
});

describe('who dies in the middle', () => {
  test('of a try leaves it to be made again, with the same id', async () => {
    const records = createFakeRecords();
    const first = createWorld({ records });
    first.outcome = () => new Promise(() => {});
    await first.notifier.take(killed());
    const reborn = createWorld({ records });
    for (const held of records.all.values()) reborn.index.put(held);
    await reborn.pass(19_000);
    expect(reborn.sent).toEqual([]);
    await reborn.pass(1_000);
    expect(reborn.sent.map(({ id }) => id)).toEqual(first.sent.map(({ id }) => id));
    expect(recordsOf(reborn)).toMatchObject([{ state: 'delivered', tries: 2 }]);
  });

  test('is told apart from who works: of two replicas one tries', async () => {
    const records = createFakeRecords();
    const [a, b] = [createWorld({ records }), createWorld({ records })];
    const alert = killed();
    await Promise.all([a.notifier.take(alert), b.notifier.take(alert)]);
    for (const held of records.all.values()) for (const world of [a, b]) world.index.put(held);
    await Promise.all([a.pass(0), b.pass(0)]);
    await Promise.all([a.pass(60_000), b.pass(60_000)]);
    expect([...a.sent, ...b.sent]).toHaveLength(1);
  });

  test('and is asked to end breaks off what is on its way, and does not call it failed', async () => {
    const world = createWorld();
    let end = () => {};
    world.outcome = () =>
      new Promise((resolve) => {
        end = () => resolve({ ok: false, problem: 'broken off' });
      });
    await world.notifier.take(killed());
    await expect.poll(() => world.sent.length).toBe(1);
    const closed = world.courier.close();
    end();
    await closed;
    expect(recordsOf(world)).toMatchObject([{ state: 'waiting', tries: 1 }]);
    expect(world.tried).toEqual([]);
  });
});

describe('an endpoint that hangs', () => {
  test('holds four alerts of its own, and delays nobody else', async () => {
    const url = 'https://hooks.example/';
    const world = createWorld({ endpoints: { hangs: { url }, works: { url } } });
    world.outcome = (endpoint) => (endpoint === 'hangs' ? new Promise(() => {}) : Promise.resolve({ ok: true }));
    for (let i = 0; i < 50; i++) await world.notifier.take(killed());
    await expect.poll(() => world.tried.filter((t) => t === 'works delivered').length).toBe(50);
    expect(world.sent.filter(({ endpoint }) => endpoint === 'hangs')).toHaveLength(4);
  });

  test('has a queue with an end: what comes then is dead, and beyond that counted', async () => {
    const world = createWorld({ maxWaiting: 3 });
    world.outcome = () => new Promise(() => {});
    for (let i = 0; i < 8; i++) await world.notifier.take(killed());
    expect(world.notifier.list('waiting').endpoints).toMatchObject([{ waiting: 3, dead: 3 }]);
    expect(world.notifier.list('dead').alerts[0]?.problem).toBe('3 alerts waited for this endpoint already');
    expect(world.dropped).toEqual(['pager', 'pager']);
  });
});

test('a bucket that does not answer is asked again later, not without end', async () => {
  const fake = createFakeRecords();
  let asked = 0;
  const update = () => {
    asked++;
    return Promise.reject(new Error('no bucket'));
  };
  const world = createWorld({ records: { ...fake, records: { ...fake.records, update } } });
  await world.notifier.take(killed());
  await world.courier.settled();
  expect([asked, world.sent.length]).toEqual([1, 0]);
});

test('a delivery that cannot be written down is made again: at least once, never lost', async () => {
  const fake = createFakeRecords();
  let updates = 0;
  const update: typeof fake.records.update = (record, revision) =>
    ++updates === 2 ? Promise.reject(new Error('no acknowledgement')) : fake.records.update(record, revision);
  const world = createWorld({ records: { ...fake, records: { ...fake.records, update } } });
  await world.notifier.take(killed());
  await world.courier.settled();
  await world.pass(20_000);
  expect(world.sent.map(({ id }) => id)).toEqual([world.sent[0]?.id, world.sent[0]?.id]);
  expect(recordsOf(world)).toMatchObject([{ state: 'delivered' }]);
});

test('a test is sent once, leaves no record, and says what came of it', async () => {
  const world = createWorld();
  world.outcome = fails;
  expect(await world.notifier.test('olga', 'pager')).toEqual({
    v: 1,
    ok: false,
    id: 'pager/evt_9999999999',
    ms: 0,
    problem: 'answered 500',
  });
  expect(JSON.parse(world.sent[0]?.body ?? '')).toMatchObject({
    type: 'agentgate.alert.test.v1',
    data: { by: 'olga' },
  });
  expect(world.all.size).toBe(0);
  await expect(world.notifier.test('olga', 'nobody')).rejects.toMatchObject({
    code: 'FIELD_INVALID',
    message: '/endpoint: agentgate.yaml names no endpoint nobody',
  });
});

test('a list shows where an alert goes without path and query, where many keep a secret', async () => {
  const world = createWorld({ endpoints: { chat: { url: 'https://chat.example/hooks/T0K3N?key=K3Y' } } });
  world.outcome = fails;
  await world.notifier.take(alertOf('tool.changed', eventOf('tool.changed', { tool: 'a/b' })));
  await world.courier.settled();
  const list = world.notifier.list('waiting');
  expect(list).toMatchObject({ endpoints: [{ origin: 'https://chat.example', waiting: 1 }], alerts: [{ tries: 1 }] });
  expect(JSON.stringify(list)).not.toMatch(/T0K3N|K3Y/);
});
