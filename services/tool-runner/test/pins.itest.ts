import type { Bus } from '@agentgate/bus';
import { type CatalogTool, defaultPinning, toolKey } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createHttpUpstream } from '../src/adapters/mcp-http.ts';
import { openPinsBucket, type PinsBucket } from '../src/adapters/pins-bucket.ts';
import { openToolsBucket } from '../src/adapters/tools-bucket.ts';
import { createCatalog } from '../src/catalog.ts';
import { createPins } from '../src/pins/pins.ts';
import type { PinEvent } from '../src/pins/sighting.ts';
import { createVerdicts } from '../src/pins/verdicts.ts';
import type { Upstream } from '../src/upstream.ts';
import { until } from './fixtures/fakes.ts';
import { startHttp } from './fixtures/http-server.ts';
import { listedAs } from './fixtures/pin-store.ts';
import { callOnce, listen, quick, startStdio } from './fixtures/servers.ts';

// The pins in a real bucket, with replicas that race, and real MCP servers whose tools change while they run.

let ground: Ground;
const closers: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  ground = await startGround();
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
afterAll(() => ground?.stop());

interface Replica {
  bus: Bus;
  store: PinsBucket;
  events: PinEvent[];
  saw(tool: CatalogTool): Promise<void>;
  isOpen(tool: CatalogTool): boolean;
  accept(by: string, tool: CatalogTool): Promise<string>;
  quarantine(tool: string, digest: string): string | undefined;
}
const replica = async (instance: string): Promise<Replica> => {
  const bus = await ground.connect('tool-runner', { instance });
  const store = await openPinsBucket(bus);
  closers.push(() => store.close());
  const events: PinEvent[] = [];
  const record = async (event: PinEvent) => void events.push(event);
  const common = { store, settings: defaultPinning, record, now: Date.now };
  const pins = createPins({ ...common, log: { warn: () => {}, error: () => {} } });
  const verdicts = createVerdicts({ ...common, listed: () => undefined });
  return {
    bus,
    store,
    events,
    saw: pins.saw,
    quarantine: pins.quarantine,
    isOpen: (tool) => pins.quarantine(tool.name, tool.schema_digest) === undefined,
    accept: async (by, { name, schema_digest }) =>
      (await verdicts.decide(by, 'accepted', { v: 1, tool: name, schema_digest })).status,
  };
};

let count = 0;
const pair = () => {
  const name = `tool-${count++}`;
  return [listedAs('Reads.', name), listedAs('Reads, and sends.', name)] as const;
};

describe('two replicas', () => {
  test('that see a tool for the first time at once, each another definition: one is pinned, the other waits, nobody runs either', async () => {
    const [one, two] = [await replica('one'), await replica('two')];
    for (let i = 0; i < 20; i++) {
      const [a, b] = pair();
      await Promise.all([one.saw(a), two.saw(b)]);
      await until(() => [one, two].every(({ store }) => store.get(a.name)?.pin?.offered !== undefined));
      const { accepted, offered } = one.store.get(a.name)?.pin ?? {};
      expect([accepted?.schema_digest, offered?.schema_digest].sort()).toEqual(
        [a, b].map((t) => t.schema_digest).sort(),
      );
      expect([one, two].flatMap((r) => [a, b].map((t) => r.isOpen(t)))).toEqual([false, false, false, false]);
    }
    const told = [...one.events, ...two.events].map(({ name }) => name);
    for (const name of ['tool.registered', 'tool.changed', 'tool.quarantined'])
      expect(told.filter((each) => each === name)).toHaveLength(20);
  });

  test('that see the same definition at once: it is registered once, and runs', async () => {
    const [one, two] = [await replica('one'), await replica('two')];
    const [a] = pair();
    await Promise.all([one.saw(a), two.saw(a), one.saw(a)]);
    await until(() => one.isOpen(a) && two.isOpen(a));
    expect([...one.events, ...two.events]).toMatchObject([{ name: 'tool.registered' }]);
  });

  test('that hear two operators at once: one verdict is written, and both replicas know of it', async () => {
    const [one, two] = [await replica('one'), await replica('two')];
    const [a, b] = pair();
    await one.saw(a);
    await one.saw(b);
    const statuses = await Promise.all([one.accept('ann', b), two.accept('bob', b)]);
    expect(statuses.sort()).toEqual(['accepted', 'not_offered']);
    await until(() => one.isOpen(b) && two.isOpen(b));
    expect([one.isOpen(a), two.isOpen(a)]).toEqual([false, false]);
  });
});

test('a replica that starts later knows every pin, and a pin that was taken out or spoilt is not made anew', async () => {
  const one = await replica('one');
  const [a, b] = pair();
  await one.saw(a);
  const anew = await replica('anew');
  expect([anew.isOpen(a), anew.isOpen(b)]).toEqual([true, false]);
  for (const spoil of [
    () => one.bus.bucket('PINS').put(toolKey(a.name), '{"v":1}'),
    () =>
      one.bus.publishDurable(`$KV.PINS.${toolKey(a.name)}`, '', {
        timeoutMs: 2_000,
        headers: { 'KV-Operation': 'DEL' },
      }),
  ]) {
    await spoil();
    await until(() => !anew.isOpen(a));
    await anew.saw(a);
    const later = await replica('later');
    await later.saw(a);
    expect([anew.quarantine(a.name, a.schema_digest), later.quarantine(a.name, a.schema_digest)]).toEqual(
      Array(2).fill(`the pin of tool ${a.name} cannot be read`),
    );
  }
});

describe('a server whose tools change while it runs', () => {
  const behind = async (upstream: Upstream, start: () => Promise<unknown>) => {
    const one = await replica('one');
    const records = await openToolsBucket({ bus: one.bus, pins: one });
    closers.push(() => records.close());
    const catalog = createCatalog({
      upstreams: [{ upstream, credential: undefined }],
      records,
      now: Date.now,
      log: { warn: () => {} },
    });
    await start();
    const why = (tool: string) => one.quarantine(tool, catalog.find(tool).schemaDigest);
    return { ...one, catalog, why };
  };

  test('over HTTP: is found at the next list, and refused', async () => {
    const server = await startHttp('modern');
    closers.push(() => server.stop());
    const upstream = createHttpUpstream({
      server: 'crm',
      http: { url: server.url },
      inject: undefined,
      now: Date.now,
      log: listen().log,
      pace: { ...quick, everyMs: 50 },
    });
    closers.push(() => upstream.close());
    const { why } = await behind(upstream, () => upstream.start());
    await until(() => why('crm/echo') === undefined, 5_000);
    server.told.echo = 'Returns its text, and keeps it.';
    await until(() => why('crm/echo') !== undefined, 5_000);
    await until(() => /definition has changed$/.test(why('crm/echo') ?? ''), 5_000);
    expect(why('crm/whoami')).toBeUndefined();
  });

  test('over stdio: from the moment that it says so no call goes to it before its tools are listed again', async () => {
    const bench = await startStdio();
    closers.push(() => bench.stop());
    const { catalog, why } = await behind(bench.upstream, async () => {});
    // The catalog hears the next list.
    await callOnce(bench.upstream, 'grow');
    await until(() => bench.listed.length > 1 && why('fixture/echo') === undefined, 5_000);
    const changed = callOnce(bench.upstream, 'turn');
    await until(() => bench.upstream.relisting() !== undefined, 5_000);
    expect(() => catalog.find('fixture/echo')).toThrow('fixture is listing its tools again: they changed');
    await changed;
    await catalog.settled('fixture/echo');
    expect(why('fixture/echo')).toBeDefined();
  });
});
