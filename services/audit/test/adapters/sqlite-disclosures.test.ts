import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DisclosedEvent, EvidenceEvent } from '@agentgate/evidence';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSqliteDisclosures } from '../../src/adapters/sqlite-disclosures.ts';
import type { DisclosureStore } from '../../src/erasure.ts';

let dir: string;
let store: DisclosureStore;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'agentgate-disclosures-'));
  store = openSqliteDisclosures(dir);
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

/** Pseudo-random in 0 to 1, the same each time. */
const randomOf = (seed: number) => () => {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
  return seed / 2 ** 31;
};
const secretOf = (n: number) => `secret-${n}-of-somebody;`;
const saltOf = (n: number) => Buffer.from(`salt ${n}`.padEnd(32, '.')).toString('base64url');
const disclosed = (n: number, { agent = 'demo', session = 'ses_1', times = 1 } = {}): DisclosedEvent => ({
  event: { id: `evt_${n}`, tenant: 'default', agent, session, data: { call: `call_${n}` } } as unknown as EvidenceEvent,
  disclosure: { field: 'arguments_digest', salt: saltOf(n), value: { text: secretOf(n).repeat(times) } },
});
const keep = (...all: DisclosedEvent[]) => store.transaction(() => store.keep(all));
const erase = (scope: Parameters<DisclosureStore['erase']>[0]) => {
  const events = store.transaction(() => store.erase(scope));
  store.forget();
  return events;
};
/** The numbers of all secrets and salts of which a byte-for-byte copy lies in a file of the folder. */
const inFolder = () => {
  const all = readdirSync(dir)
    .map((file) => readFileSync(join(dir, file)).toString('latin1'))
    .join('\n');
  const numbers = (pattern: RegExp) =>
    [...new Set([...all.matchAll(pattern)].map(([, n]) => Number(n)))].sort((x, y) => x - y);
  return { secrets: numbers(/secret-(\d+)-of-somebody;/g), salts: numbers(/salt (\d+)\.+/g) };
};

test('gives back what it kept, and says of what was erased only that it was there', () => {
  keep(disclosed(1));
  const { field, salt, value } = disclosed(1).disclosure;
  expect(store.of('evt_1')).toEqual([{ field, isErased: false, salt, value }]);
  expect(erase({ kind: 'call', id: 'call_1' })).toBe(1);
  expect(store.of('evt_1')).toEqual([{ field, isErased: true }]);
  expect(store.of('evt_2')).toEqual([]);
  expect(erase({ kind: 'call', id: 'call_1' })).toBe(0);
});

test('does not bring back what was erased when it comes again', () => {
  keep(disclosed(1));
  erase({ kind: 'event', id: 'evt_1' });
  keep(disclosed(1));
  expect(store.of('evt_1')).toEqual([{ field: 'arguments_digest', isErased: true }]);
  expect(inFolder()).toEqual({ secrets: [], salts: [] });
});

test('the bytes of what was erased are in no file of the folder, and those of all others are', {
  timeout: 60_000,
}, () => {
  const random = randomOf(7);
  const erased = new Set<number>();
  let made = 0;
  for (let round = 0; round < 12; round++) {
    // Rows of all sizes, those that spill over several pages too.
    keep(...Array.from({ length: 60 }, () => disclosed(++made, { times: Math.ceil(random() ** 4 * 600) })));
    for (let i = 0; i < 8; i++) {
      const n = 1 + Math.floor(random() * made);
      expect(erase({ kind: 'event', id: `evt_${n}` })).toBe(erased.has(n) ? 0 : 1);
      erased.add(n);
    }
    const left = Array.from({ length: made }, (_, i) => i + 1).filter((n) => !erased.has(n));
    expect(inFolder()).toEqual({ secrets: left, salts: left });
  }
  expect(erased.size).toBeGreaterThan(60);
});

test('erases an agent or a session, and no others', () => {
  keep(disclosed(1), disclosed(2, { agent: 'other' }), disclosed(3, { session: 'ses_2' }));
  expect(erase({ kind: 'agent', id: 'demo', tenant: 'elsewhere' })).toBe(0);
  expect(erase({ kind: 'session', id: 'ses_2' })).toBe(1);
  expect(erase({ kind: 'agent', id: 'demo' })).toBe(1);
  expect(store.of('evt_2')).toMatchObject([{ isErased: false }]);
});

test('a hold covers what it overlaps with, until it is released', () => {
  keep(disclosed(1), disclosed(2, { session: 'ses_2' }));
  const hold = { hold: 'hold_1', scope: { kind: 'session', id: 'ses_1' } as const, reason: 'a case', by: 'ann', at: 5 };
  store.transaction(() => store.addHold(hold));
  expect(store.holdsOn({ kind: 'agent', id: 'demo' })).toEqual(['hold_1']);
  expect(store.holdsOn({ kind: 'event', id: 'evt_1' })).toEqual(['hold_1']);
  expect(store.holdsOn({ kind: 'event', id: 'evt_2' })).toEqual([]);
  expect(store.holds()).toEqual([hold]);
  expect(store.transaction(() => store.releaseHold('hold_1'))).toEqual(hold.scope);
  expect(store.transaction(() => store.releaseHold('hold_1'))).toBeUndefined();
  expect(store.holdsOn({ kind: 'agent', id: 'demo' })).toEqual([]);
});

test('keeps everything over a restart', () => {
  keep(disclosed(1));
  store.transaction(() =>
    store.addAct({
      name: 'evidence.held',
      subject: 'x',
      data: { hold: 'h', scope: { kind: 'event', id: 'evt_1' }, reason: 'r', by: 'b' },
    }),
  );
  store.close();
  store = openSqliteDisclosures(dir);
  expect(store.of('evt_1')).toMatchObject([{ isErased: false }]);
  const [untold] = store.untold(5);
  expect(untold).toMatchObject({ act: { name: 'evidence.held' } });
  store.transaction(() => store.setTold(untold?.row ?? 0, 'evt_9'));
  expect(store.untold(5)).toEqual([]);
});
