import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AgentGateError, type EventDraft } from '@agentgate/contracts';
import type { DisclosedEvent, EvidenceEvent } from '@agentgate/evidence';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSqliteDisclosures } from '../src/adapters/sqlite-disclosures.ts';
import { createErasure, type DisclosureStore, type Erasure } from '../src/erasure.ts';

const salt = Buffer.alloc(32, 7).toString('base64url');
const secret = { secret: 'blue' };
const scope = { kind: 'session', id: 'ses_0123456789' } as const;
const owner = { tenant: 'default', agent: 'demo', session: scope.id };

const erasureWith = (record: (draft: EventDraft) => Promise<string>): Erasure =>
  createErasure({ store, record, now: () => 0, newHold: () => `hold_${store.holds().length + 1}`, onUntold: () => {} });

let dir: string;
let store: DisclosureStore;
let erasure: Erasure;
let told: EventDraft[];
let isDown: boolean;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'agentgate-erasure-'));
  store = openSqliteDisclosures(dir);
  told = [];
  isDown = false;
  erasure = erasureWith(async (draft) => {
    if (isDown) throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'down');
    told.push(draft);
    return `evt_told_${told.length}`;
  });
  const event = { id: 'evt_1', ...owner, data: { call: 'call_1' } } as unknown as EvidenceEvent;
  const disclosed: DisclosedEvent = { event, disclosure: { field: 'arguments_digest', salt, value: secret } };
  store.transaction(() => store.keep([disclosed]));
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true });
});

test('tells what opens a digest, and evidence who asked', async () => {
  expect(await erasure.disclose('ann', 'evt_1')).toEqual({
    v: 1,
    status: 'kept',
    disclosures: [{ field: 'arguments_digest', salt, value: secret }],
  });
  expect(told).toEqual([
    {
      name: 'evidence.disclosed',
      subject: 'evt_1',
      ...owner,
      data: { event: 'evt_1', fields: ['arguments_digest'], by: 'ann' },
    },
  ]);
});

test('tells nothing when evidence cannot say who asked', async () => {
  isDown = true;
  await expect(erasure.disclose('ann', 'evt_1')).rejects.toMatchObject({
    code: 'EVIDENCE_UNAVAILABLE',
    message: 'down',
  });
});

test('erases, and evidence says who, what and why', async () => {
  expect(await erasure.erase('bob', scope, 'asked by the subject')).toEqual({
    v: 1,
    status: 'erased',
    events: 1,
    holds: [],
    event: 'evt_told_1',
  });
  expect(told).toEqual([
    {
      name: 'evidence.erased',
      subject: scope.id,
      ...owner,
      data: { scope, events: 1, reason: 'asked by the subject', by: 'bob' },
    },
  ]);
  expect(await erasure.disclose('ann', 'evt_1')).toEqual({ v: 1, status: 'erased', disclosures: [] });
  expect(await erasure.erase('bob', scope, 'again')).toMatchObject({ status: 'nothing', events: 0 });
  expect(told).toHaveLength(1);
});

test('erases nothing while a hold covers a part of it, and does once that is released', async () => {
  expect(await erasure.hold('ann', scope, 'a case')).toEqual({
    v: 1,
    status: 'held',
    hold: 'hold_1',
    event: 'evt_told_1',
  });
  const event = { kind: 'event', id: 'evt_1' } as const;
  expect(await erasure.erase('bob', event, 'r')).toEqual({ v: 1, status: 'held', events: 0, holds: ['hold_1'] });
  expect(await erasure.disclose('ann', 'evt_1')).toMatchObject({ status: 'kept' });
  expect(erasure.holds()).toEqual([
    { hold: 'hold_1', scope, reason: 'a case', by: 'ann', at: '1970-01-01T00:00:00.000Z' },
  ]);
  expect(await erasure.release('ann', 'hold_1', 'closed')).toMatchObject({ status: 'released' });
  expect(await erasure.release('ann', 'hold_1', 'closed')).toEqual({ v: 1, status: 'not_found' });
  expect(await erasure.erase('bob', event, 'r')).toMatchObject({ status: 'erased', events: 1 });
  expect(told.map(({ name, data }) => [name, (data as { by: string }).by])).toEqual([
    ['evidence.held', 'ann'],
    ['evidence.disclosed', 'ann'],
    ['evidence.released', 'ann'],
    ['evidence.erased', 'bob'],
  ]);
});

test('tells evidence of an erasure later when it cannot at once', async () => {
  isDown = true;
  expect(await erasure.erase('bob', scope, 'r')).toEqual({ v: 1, status: 'erased', events: 1, holds: [] });
  await expect(erasure.tell()).rejects.toMatchObject({ code: 'EVIDENCE_UNAVAILABLE' });
  isDown = false;
  await erasure.tell();
  await erasure.tell();
  expect(told.map(({ name }) => name)).toEqual(['evidence.erased']);
});

test('evidence says whose it was, whichever way it was named', async () => {
  await erasure.hold('ann', { kind: 'call', id: 'call_1' }, 'r');
  await erasure.release('ann', 'hold_1', 'r');
  await erasure.erase('bob', { kind: 'event', id: 'evt_1' }, 'r');
  expect(told).toMatchObject(Array(3).fill(owner));
});

test('gives away nothing that was erased while evidence was told who asked', async () => {
  let told = () => {};
  const slow = erasureWith(() => new Promise((resolve) => (told = () => resolve('evt_told'))));
  const asked = slow.disclose('ann', 'evt_1');
  expect(await erasure.erase('bob', scope, 'r')).toMatchObject({ status: 'erased' });
  told();
  expect(await asked).toEqual({ v: 1, status: 'erased', disclosures: [] });
});

test('each of two acts at once is answered with the event that tells of it', async () => {
  const asked = [
    erasure.hold('ann', { kind: 'session', id: 'ses_1111111111' }, 'first'),
    erasure.hold('ann', { kind: 'session', id: 'ses_2222222222' }, 'second'),
  ];
  const events = (await Promise.all(asked)).map(({ event }) => Number(event?.split('_').at(-1)));
  const reasons = events.map((n) => (told[n - 1]?.data as { reason?: string } | undefined)?.reason);
  expect(reasons).toEqual(['first', 'second']);
});

test('says that an erasure is not done while another process keeps the journal, and empties it once that ends', async () => {
  const other = new DatabaseSync(join(dir, 'disclosures.db'));
  other.exec('BEGIN');
  other.prepare('SELECT count(*) FROM disclosures').get();
  const busy = {
    code: 'EVIDENCE_UNAVAILABLE',
    message:
      'it is erased, but another process reads disclosures.db: its journal still holds it, and is emptied as soon as that process ends',
  };
  await expect(erasure.erase('bob', scope, 'r')).rejects.toMatchObject(busy);
  await expect(erasure.erase('bob', scope, 'again')).rejects.toMatchObject(busy);
  const isInFolder = () => readdirSync(dir).some((file) => readFileSync(join(dir, file)).includes('blue'));
  expect(isInFolder()).toBe(true);
  other.close();
  await erasure.tell();
  expect(isInFolder()).toBe(false);
  expect(told.map(({ name }) => name)).toEqual(['evidence.erased']);
});

test('empties the journal of an erasure that a crash cut short', async () => {
  const reader = new DatabaseSync(join(dir, 'disclosures.db'));
  reader.prepare('SELECT count(*) FROM disclosures').get();
  store.transaction(() => store.erase(scope));
  store.close();
  store = openSqliteDisclosures(dir);
  reader.close();
  expect(readFileSync(join(dir, 'disclosures.db-wal')).includes('blue')).toBe(true);
  await erasureWith(async () => 'evt_told').tell();
  expect(readFileSync(join(dir, 'disclosures.db-wal'))).toHaveLength(0);
});
