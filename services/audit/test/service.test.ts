import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  createTree,
  type DisclosedEvent,
  disclosureText,
  edgeRoot,
  joinDisclosures,
  leafHash,
  merkleRoot,
  saltedDigest,
  sha256Hex,
  verifyEntry,
} from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { createSqliteLog, openSqliteLog, type SqliteLog } from '../src/adapters/sqlite-log.ts';
import type { Incoming, NewEntry } from '../src/log-store.ts';
import { createAudit } from '../src/service.ts';
import { callOf, completed, createTestProducer, decided, incoming, trustIn } from './producer.ts';

const ingress = createTestProducer('ingress');
const policy = createTestProducer('policy');
const own = createTestProducer('audit');
const keys = trustIn(ingress, policy, own);

const at = 1_800_000_000_000;
const setUp = (store: SqliteLog = createSqliteLog(new DatabaseSync(':memory:'), 'memory'), maxHeld = 8) => {
  const grown = createTree(store.edge());
  const tree = {
    push: ({ leafHash }: NewEntry) => grown.push(leafHash),
    edge: grown.edge,
    published: () => ({ size: 0 }),
  };
  const kept: DisclosedEvent[] = [];
  const disclosures = { keep: (disclosed: readonly DisclosedEvent[]) => void kept.push(...disclosed) };
  const audit = createAudit<Incoming>({ store, disclosures, tree, keys, now: () => at, graceTicks: 3, maxHeld });
  const ids = () => entriesOf(store).map((e) => (JSON.parse(e.text) as { event: { id: string } }).event.id);
  return { store, audit, ids, kept };
};
const entriesOf = (store: SqliteLog) =>
  (store.entries(0, 1_000) ?? []).map((entry) => ({ ...entry, text: Buffer.from(entry.body).toString() }));
/** A fresh producer of ingress, whose key is the trusted one. */
let instances = 0;
const fresh = () => createTestProducer('ingress', { instance: `f${++instances}`, key: ingress.key });
const kinds = (anomalies: { kind: string }[]) => anomalies.map((a) => a.kind);

test('appends verified events in order with an entry that verifies alone', () => {
  const { audit, store } = setUp();
  const p = fresh();
  const message = incoming('ingress', p.seal(p.beats(5)));
  const taken = audit.take([message]);
  expect(taken).toEqual({ settled: [message], appended: 5, anomalies: [] });
  const entries = entriesOf(store);
  expect(entries.map((e) => e.index)).toEqual([0, 1, 2, 3, 4]);
  for (const { text, leafHash: hash, type, tenant } of entries) {
    expect(verifyEntry(text, { keys })).toMatchObject({ ok: true });
    expect(hash).toBe(leafHash(text).toString('hex'));
    expect({ type, tenant }).toEqual({ type: 'agentgate.producer.heartbeat.v1', tenant: 'default' });
  }
});

test('appends nothing and settles the message when a stored batch comes again', () => {
  const { audit, store } = setUp();
  const p = fresh();
  const [first, second] = [p.seal(p.beats(3)), p.seal(p.beats(2))];
  audit.take([incoming('ingress', first), incoming('ingress', second)]);
  const again = incoming('ingress', first);
  expect(audit.take([again])).toEqual({ settled: [again], appended: 0, anomalies: [] });
  expect(store.size()).toBe(5);
});

test('appends the rest of a batch of which a part is stored', () => {
  const { audit, store } = setUp();
  const p = fresh();
  const items = p.beats(4);
  audit.take([incoming('ingress', p.seal(items.slice(0, 2)))]);
  expect(audit.take([incoming('ingress', p.seal(items))])).toMatchObject({ appended: 2, anomalies: [] });
  expect(store.size()).toBe(4);
});

test('holds a batch that overtook its predecessor, and appends both in order without an anomaly', () => {
  const { audit, ids } = setUp();
  const p = fresh();
  const items = p.beats(6);
  const [a, b, c] = [items.slice(0, 2), items.slice(2, 4), items.slice(4)].map((part) =>
    incoming('ingress', p.seal(part)),
  ) as [Incoming, Incoming, Incoming];
  expect(audit.take([c, b])).toEqual({ settled: [], appended: 0, anomalies: [] });
  audit.tick();
  expect(audit.take([a])).toEqual({ settled: [a, b, c], appended: 6, anomalies: [] });
  expect(ids()).toEqual(items.map((i) => i.event.id));
});

test('does not hold up another producer while a batch is held', () => {
  const { audit } = setUp();
  const [p, q] = [fresh(), fresh()];
  p.beats(1);
  const message = incoming('ingress', q.seal(q.beats(1)));
  expect(audit.take([incoming('ingress', p.seal(p.beats(1))), message])).toEqual({
    settled: [message],
    appended: 1,
    anomalies: [],
  });
  expect(audit.held()).toBe(1);
});

test('appends after a hole and reports it once when the missing batch does not come within the grace', () => {
  const { audit, ids } = setUp();
  const p = fresh();
  const items = p.beats(5);
  const lateOne = incoming('ingress', p.seal(items.slice(3)));
  audit.take([incoming('ingress', p.seal(items.slice(0, 2))), lateOne]);
  for (let i = 0; i < 3; i++) expect(audit.tick()).toEqual({ settled: [], appended: 0, anomalies: [] });
  const taken = audit.tick();
  expect(taken).toMatchObject({
    settled: [lateOne],
    appended: 2,
    anomalies: [{ kind: 'hole', about: `${p.source} e1 4`, detail: 'event 4 came after event 2', toEvidence: true }],
  });
  expect(ids()).toEqual([0, 1, 3, 4].map((i) => items[i]?.event.id));
  expect(audit.take([incoming('ingress', p.seal(items.slice(3)))])).toMatchObject({ appended: 0, anomalies: [] });
  expect(audit.take([incoming('ingress', p.seal(p.beats(1)))])).toMatchObject({ appended: 1, anomalies: [] });
});

test('appends an event with `late` when it comes after its place was reported as a hole', () => {
  const { audit, ids } = setUp();
  const p = fresh();
  const items = p.beats(3);
  audit.take([incoming('ingress', p.seal(items.slice(0, 1))), incoming('ingress', p.seal(items.slice(2)))]);
  for (let i = 0; i < 4; i++) audit.tick();
  const missing = () => audit.take([incoming('ingress', p.seal(items.slice(1, 2)))]);
  expect(missing()).toMatchObject({ appended: 1, anomalies: [{ kind: 'late', about: `${p.source} e1 2` }] });
  expect(missing()).toMatchObject({ appended: 0, anomalies: [] });
  expect(ids()).toEqual([0, 2, 1].map((i) => items[i]?.event.id));
});

test('reports a hole when an epoch does not begin with its first event', () => {
  const { audit } = setUp();
  const p = fresh();
  p.beats(1);
  audit.take([incoming('ingress', p.seal(p.beats(1)))]);
  for (let i = 0; i < 3; i++) audit.tick();
  expect(audit.tick()).toMatchObject({
    appended: 1,
    anomalies: [{ kind: 'hole', detail: 'epoch e1 begins with event 2, not with its first' }],
  });
});

test('forgets what it held when the connection breaks, so that no time runs while nothing can come', () => {
  const { audit } = setUp();
  const p = fresh();
  const items = p.beats(2);
  const [a, b] = items.map((item) => incoming('ingress', p.seal([item]))) as [Incoming, Incoming];
  audit.take([b]);
  for (let i = 0; i < 3; i++) audit.tick();
  audit.forgetHeld();
  expect(audit.tick()).toMatchObject({ settled: [], anomalies: [] });
  expect(audit.take([b, a])).toEqual({ settled: [a, b], appended: 2, anomalies: [] });
});

test('settles the newest copy when a held message is redelivered', () => {
  const { audit } = setUp();
  const p = fresh();
  const items = p.beats(2);
  const [a, b] = items.map((item) => incoming('ingress', p.seal([item]))) as [Incoming, Incoming];
  const copy = { ...b };
  audit.take([b]);
  audit.take([copy]);
  expect(audit.held()).toBe(1);
  const { settled } = audit.take([a]);
  expect(settled[1]).toBe(copy);
});

/** Batches each of which lacks its predecessor. */
const premature = (count: number) =>
  Array.from({ length: count }, () => {
    const p = fresh();
    p.beats(1);
    return incoming('ingress', p.seal(p.beats(1)));
  });

test('takes the oldest held batch when more wait than may, so that nobody fills the waiting room', () => {
  const { audit } = setUp(undefined, 2);
  for (let i = 0; i < 4; i++) audit.tick();
  const messages = premature(3);
  expect(audit.take(messages)).toMatchObject({ settled: [messages[0]], appended: 1, anomalies: [{ kind: 'hole' }] });
  expect(audit.held()).toBe(2);
});

test('lets any number wait in the grace after a start or a reconnect, when much comes out of order', () => {
  const { audit } = setUp(undefined, 2);
  expect(audit.take(premature(3))).toMatchObject({ settled: [], anomalies: [] });
  for (let i = 0; i < 5; i++) audit.tick();
  audit.forgetHeld();
  expect(audit.take(premature(3))).toMatchObject({ settled: [], anomalies: [] });
  expect(audit.held()).toBe(3);
});

test('keeps out an event that comes again with other bytes, and keeps its batch', () => {
  const { audit, store } = setUp();
  const p = fresh();
  const twin = createTestProducer('ingress', { instance: `f${instances}`, key: ingress.key });
  audit.take([incoming('ingress', p.seal(p.beats(2)))]);
  const message = incoming('ingress', twin.seal([twin.beat({ id: 'evt_other' })]));
  const taken = audit.take([message]);
  expect(taken).toMatchObject({ settled: [message], appended: 0 });
  expect(taken.anomalies).toMatchObject([
    { kind: 'repeat', about: `${p.source} e1 1`, detail: expect.stringContaining('event 1 came again') },
  ]);
  expect(store.size()).toBe(2);
});

test('appends a signed event that names another predecessor, with `wrong_prev`', () => {
  const { audit } = setUp();
  const p = fresh();
  const twin = createTestProducer('ingress', { instance: `f${instances}`, key: ingress.key });
  audit.take([incoming('ingress', p.seal(p.beats(1)))]);
  twin.beat({ id: 'evt_elsewhere' });
  const taken = audit.take([incoming('ingress', twin.seal([twin.beat()]))]);
  expect(taken).toMatchObject({ appended: 1, anomalies: [{ kind: 'wrong_prev', about: `${p.source} e1 2` }] });
});

test('reports an event whose id is taken, once, and stays in step with its producer', () => {
  const { audit, store } = setUp();
  const p = fresh();
  const id = `evt_twice_${instances}`;
  const batch = p.seal([p.beat({ id }), p.beat({ id })]);
  expect(kinds(audit.take([incoming('ingress', batch)]).anomalies)).toEqual(['id_reused']);
  expect(audit.take([incoming('ingress', batch)])).toMatchObject({ appended: 0, anomalies: [] });
  expect(audit.take([incoming('ingress', p.seal(p.beats(1)))])).toMatchObject({ appended: 1, anomalies: [] });
  expect(store.size()).toBe(2);
});

test('survives a producer all of whose first events have ids that are taken', () => {
  const { audit } = setUp();
  const [p, q] = [fresh(), fresh()];
  const id = `evt_taken_${instances}`;
  audit.take([incoming('ingress', p.seal([p.beat({ id })]))]);
  expect(kinds(audit.take([incoming('ingress', q.seal([q.beat({ id })]))]).anomalies)).toEqual(['id_reused']);
  expect(audit.take([incoming('ingress', q.seal(q.beats(1)))])).toMatchObject({ appended: 1, anomalies: [] });
});

type Fields = Record<string, unknown>;
/** A batch of which some fields were changed on the way. */
const tampered = (change: (batch: Fields) => Fields) => {
  const p = fresh();
  const batch = JSON.parse(p.seal(p.beats(2))) as Fields;
  return JSON.stringify({ ...batch, ...change(batch) });
};
test.each<[kind: string, subject: string, body: () => string]>([
  ['malformed', 'ingress', () => 'not JSON'],
  ['malformed', 'ingress', () => tampered(() => ({ extra: 1 }))],
  ['malformed', 'ingress', () => tampered(() => ({ source: { toString: 1 } }))],
  ['bad_root', 'ingress', () => tampered((b) => ({ events: [...(b.events as string[])].reverse() }))],
  ['bad_signature', 'ingress', () => tampered(() => ({ epoch: 'e2' }))],
  ['unknown_key', 'ingress', () => fresh().seal(fresh().beats(1), policy.key)],
  ['unknown_key', 'policy', () => fresh().seal(fresh().beats(1), policy.key)],
  ['wrong_subject', 'policy', () => fresh().seal(fresh().beats(1))],
  ['wrong_subject', 'nobody', () => fresh().seal(fresh().beats(1))],
])('quarantines a batch with `%s` on the subject of %s, once, and goes on', (kind, subject, body) => {
  const db = new DatabaseSync(':memory:');
  const { audit } = setUp(createSqliteLog(db, 'memory'));
  const p = fresh();
  const text = body();
  const [bad, good] = [incoming(subject, text), incoming('ingress', p.seal(p.beats(1)))];
  const taken = audit.take([bad, good]);
  expect(taken).toMatchObject({
    settled: [bad, good],
    appended: 1,
    anomalies: [{ kind, about: bad.subject, toEvidence: true }],
  });
  expect(audit.take([bad])).toMatchObject({ settled: [bad], anomalies: [] });
  expect(db.prepare('SELECT kind, subject, CAST(body AS TEXT) AS body FROM quarantine').all()).toEqual([
    { kind, subject: bad.subject, body: text },
  ]);
});

test('does not turn what is wrong with its own events into more events', () => {
  const { audit, store } = setUp();
  const taken = audit.take([incoming('audit', own.seal(own.beats(1), policy.key))]);
  expect(taken.anomalies).toMatchObject([{ kind: 'unknown_key', toEvidence: false }]);
  expect(store.unreported(10)).toEqual([]);
  expect(store.anomalyCount()).toBe(1);
});

test('reports a dispatched call without an outcome 10 s after its deadline, with whom it concerns', () => {
  const { audit, store } = setUp();
  const p = fresh();
  const event = p.event('call.decided', decided(callOf(1), at), { session: 'ses_0123456789' });
  audit.take([incoming('ingress', p.seal([event]))]);
  expect(audit.reportOrphans(at + 9_999).anomalies).toEqual([]);
  expect(audit.reportOrphans(at + 10_000).anomalies).toMatchObject([
    { kind: 'orphan', about: callOf(1), tenant: 'default', agent: 'demo', session: 'ses_0123456789', toEvidence: true },
  ]);
  expect(audit.reportOrphans(at + 20_000).anomalies).toEqual([]);
  expect(store.unreported(10)).toMatchObject([{ kind: 'orphan', about: callOf(1), session: 'ses_0123456789' }]);
});

test('reports no call that has its outcome or was never dispatched', () => {
  const { audit } = setUp();
  const p = fresh();
  const events = [
    p.event('call.decided', decided(callOf(1), at)),
    p.event('call.decided', decided(callOf(2))),
    p.event('call.completed', completed(callOf(1))),
  ];
  audit.take([incoming('ingress', p.seal(events))]);
  expect(audit.reportOrphans(at + 60_000).anomalies).toEqual([]);
});

test('believes nobody but ingress about calls', () => {
  const { audit } = setUp();
  const p = fresh();
  const other = createTestProducer('policy', { instance: 'liar', key: policy.key });
  audit.take([incoming('ingress', p.seal([p.event('call.decided', decided(callOf(1), at))]))]);
  audit.take([
    incoming(
      'policy',
      other.seal([
        other.event('call.completed', completed(callOf(1))),
        other.event('call.decided', decided(callOf(2), at)),
      ]),
    ),
  ]);
  expect(audit.reportOrphans(at + 60_000).anomalies.map((a) => a.about)).toEqual([callOf(1)]);
});

test('survives data that is not of its type', () => {
  const { audit } = setUp();
  const p = fresh();
  const events = [{ call: callOf(1), deadline: -9e15 }, { call: 'x', deadline: at }, {}].map((data) =>
    p.event('call.decided', data as never),
  );
  expect(audit.take([incoming('ingress', p.seal(events))])).toMatchObject({ appended: 3 });
  expect(audit.reportOrphans(at + 60_000).anomalies).toEqual([]);
});

test('takes nothing of a transaction in which the disk failed', () => {
  const { store, ids } = setUp();
  let appends = 0;
  const failing = {
    ...store,
    append: (entry: Parameters<SqliteLog['append']>[0]) => {
      if (++appends === 3) throw new Error('disk I/O error');
      return store.append(entry);
    },
  };
  const p = fresh();
  const items = p.beats(4);
  const message = incoming('ingress', p.seal(items));
  expect(() => setUp(failing).audit.take([message])).toThrow('disk I/O error');
  expect(ids()).toEqual([]);
  expect(setUp(store).audit.take([message])).toMatchObject({ appended: 4, anomalies: [] });
  expect(entriesOf(store).map((e) => e.index)).toEqual([0, 1, 2, 3]);
});

test('knows its producers and open calls again after a restart', () => {
  const folder = mkdtempSync(join(tmpdir(), 'audit-'));
  try {
    const p = fresh();
    const first = setUp(openSqliteLog(folder));
    const batch = p.seal([p.event('call.decided', decided(callOf(1), at)), ...p.beats(1)]);
    first.audit.take([incoming('ingress', batch)]);
    first.store.close();
    const { audit, store } = setUp(openSqliteLog(folder));
    expect(store.size()).toBe(2);
    expect(audit.take([incoming('ingress', batch), incoming('ingress', p.seal(p.beats(1)))])).toMatchObject({
      appended: 1,
      anomalies: [],
    });
    expect(audit.reportOrphans(at + 10_000).anomalies).toMatchObject([{ kind: 'orphan', about: callOf(1) }]);
    store.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('keeps with the entries the right edge of the tree over them', () => {
  const { audit, store } = setUp();
  const p = fresh();
  for (const count of [1, 2, 4]) audit.take([incoming('ingress', p.seal(p.beats(count)))]);
  const hashes = entriesOf(store).map(({ text }) => leafHash(text));
  expect(store.edge().size).toBe(7);
  expect(edgeRoot(store.edge())).toEqual(merkleRoot(hashes));
});

/** A producer that said that it started, with a key of its own epoch. */
const startedProducer = () => {
  const p = fresh();
  const started = p.event('producer.started', { service: 'ingress', instance: 'f', version: '1', keyid: 'k' });
  return { ...p, first: incoming('ingress', p.seal([started])) };
};
const silentTicks = 60;

test('reports a producer that fell silent once, and again nothing after it spoke', () => {
  const { audit } = setUp();
  const p = startedProducer();
  audit.take([p.first]);
  for (let i = 0; i < silentTicks; i++) expect(audit.reportSilent().anomalies).toEqual([]);
  expect(audit.reportSilent().anomalies).toMatchObject([
    {
      kind: 'silent',
      about: p.source,
      detail: 'no event after event 1 of epoch e1, and none that says that it stops',
      toEvidence: true,
    },
  ]);
  for (let i = 0; i < 2 * silentTicks; i++) expect(audit.reportSilent().anomalies).toEqual([]);
});

test('reports no silence of a producer that speaks now and then, that stopped in order, or that never started', () => {
  const { audit } = setUp();
  const [speaks, stops, never] = [startedProducer(), startedProducer(), fresh()];
  const stopped = stops.event('producer.stopped', { service: 'ingress', instance: 'f', events: 1 });
  const last = incoming('ingress', stops.seal([stopped]));
  audit.take([speaks.first, stops.first, last, incoming('ingress', never.seal(never.beats(1)))]);
  for (let i = 0; i < 3 * silentTicks; i++) {
    if (i % silentTicks === 0) audit.take([incoming('ingress', speaks.seal(speaks.beats(1)))]);
    expect(audit.reportSilent().anomalies).toEqual([]);
  }
});

test('takes what the deployment says of keys, and from nobody else', () => {
  const { audit } = setUp();
  const data = { service: 'policy', keyid: policy.key.keyid, key: policy.key.publicKey };
  const batch = policy.seal([policy.event('key.added', data)]);
  expect(audit.take([incoming('deployment', batch)])).toMatchObject({
    appended: 0,
    anomalies: [{ kind: 'wrong_subject', detail: expect.stringContaining(`a batch of ${policy.source}`) }],
  });
});

/** A decision whose arguments are a digest, in a batch with what opens it. */
const disclosing = (p: ReturnType<typeof fresh>, { value, shown = value }: { value: unknown; shown?: unknown }) => {
  const { digest, salt } = saltedDigest(value);
  const { arguments: _, ...data } = decided(callOf(1));
  const item = p.event('call.decided', { ...data, arguments_digest: { sha256: digest, bytes: 9 } });
  const disclosures = [disclosureText({ field: 'arguments_digest', salt, value: shown })];
  const sealed = p.seal([item]);
  return { sealed, salt, message: joinDisclosures(sealed, [{ disclosures }]), event: item.event };
};

test('keeps what opens a digest apart from the log, once', () => {
  const { audit, store, kept } = setUp();
  const { message, salt, event } = disclosing(fresh(), { value: { secret: 'blue' } });
  expect(audit.take([incoming('ingress', message)])).toMatchObject({ appended: 1, anomalies: [] });
  const disclosure = { field: 'arguments_digest', salt, value: { secret: 'blue' } };
  expect(kept).toEqual([{ event, disclosure }]);
  const [entry] = entriesOf(store);
  expect(entry?.text).not.toContain(salt);
  expect(entry?.text).not.toContain('blue');
  expect(audit.take([incoming('ingress', message)])).toMatchObject({ appended: 0, anomalies: [] });
  expect(kept).toHaveLength(1);
});

test('appends the event, keeps nothing and reports bad_disclosure when what came beside it does not open its digest', () => {
  const { audit, store, kept } = setUp();
  const { message, event } = disclosing(fresh(), { value: { secret: 'blue' }, shown: { secret: 'red' } });
  const taken = audit.take([incoming('ingress', message)]);
  expect(taken).toMatchObject({ appended: 1 });
  expect(taken.anomalies).toMatchObject([
    {
      kind: 'bad_disclosure',
      about: `${event.source} ${event.producerepoch} ${event.producerseq}`,
      detail: 'what is disclosed of arguments_digest is not what its digest stands for',
      toEvidence: true,
    },
  ]);
  expect(store.size()).toBe(1);
  expect(kept).toEqual([]);
});

test('reports bad_disclosure once for a batch, however much is wrong and however often it comes', () => {
  const { audit, kept } = setUp();
  const { message, sealed } = disclosing(fresh(), { value: { secret: 'blue' } });
  const junk = (field: string) => `{"event":0,"disclosure":{"field":"${field}","salt":""}}`;
  const beside = (...all: string[]) => `${sealed}\n[${all.join(',')}]`;
  const first = audit.take([incoming('ingress', beside(...Array.from({ length: 1_000 }, () => junk('call'))))]);
  expect(first.anomalies).toMatchObject([
    { kind: 'bad_disclosure', detail: 'call is no digest of the event; and 999 more in this batch' },
  ]);
  expect(audit.take([incoming('ingress', beside(junk('tool')))]).anomalies).toEqual([]);
  expect(audit.take([incoming('ingress', message)])).toMatchObject({ appended: 0, anomalies: [] });
  expect(kept).toEqual([]);
});

test('quarantines a refused batch without what came beside it', () => {
  const db = new DatabaseSync(':memory:');
  const { audit } = setUp(createSqliteLog(db, 'memory'));
  const { message, sealed } = disclosing(createTestProducer('ingress', { instance: 'forger' }), { value: 'blue' });
  const { anomalies } = audit.take([incoming('ingress', message)]);
  expect(kinds(anomalies)).toEqual(['unknown_key']);
  const rows = db.prepare('SELECT digest, body FROM quarantine').all() as { digest: string; body: Uint8Array }[];
  expect(rows.map(({ digest, body }) => [digest, Buffer.from(body).toString()])).toEqual([[sha256Hex(sealed), sealed]]);
});
