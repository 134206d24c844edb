import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { EvidenceEvent } from '@agentgate/evidence';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { makeLog, publish, signersOf, vkeysOf } from '../../../evidence/test/verify/log-maker.ts';
import { rowOf } from '../../src/evidence/index-row.ts';
import { openPublishedLog } from '../../src/evidence/published-log.ts';
import { registerQuery } from '../../src/evidence/query.ts';
import { openQueryIndex } from '../../src/evidence/query-index.ts';
import { moment } from '../../src/evidence/selection.ts';
import { runnerOf, workFolder, writeFiles } from './run.ts';

vi.setConfig({ testTimeout: 60_000 });
const log = makeLog(41, 300);
const vkey = vkeysOf(log.deployment.keys).log;
const run = runnerOf(registerQuery);
let work: string;
beforeAll(() => {
  work = workFolder();
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

const logOf = (name: string, entries: readonly string[]) =>
  writeFiles(join(work, name), publish(entries, signersOf(log.deployment, log.at)));
const events = log.entries.map((entry) => (JSON.parse(entry) as { event: EvidenceEvent }).event);
const query = async (dir: string, ...more: string[]) => {
  const { stdout } = await run('query', '--log', dir, '--vkey', vkey, '--json', ...more);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { index: number; id: string });
};

test('finds by what events say, the newest first, as many as are asked for', async () => {
  const dir = logOf('whole', log.entries);
  const ofDemo = events.flatMap(({ agent }, index) => (agent === 'demo' ? [index] : []));
  const newest = (await query(dir, '--agent', 'demo', '-n', '5')).map(({ index }) => index);
  expect(newest).toEqual(ofDemo.slice(-5).reverse());
  const oldest = (await query(dir, '--tool', 'filesystem/write_file', '--oldest-first', '-n', '3')).map(
    ({ index }) => index,
  );
  expect(oldest).toEqual(ofDemo.slice(0, 3));
  expect(await query(dir, '--agent', 'nobody')).toEqual([]);
  const call = String(events[ofDemo[7] as number]?.data.call);
  expect(await query(dir, '--call', call)).toMatchObject([{ index: ofDemo[7], call, type: 'call.decided' }]);
  expect((await query(dir, '--type', 'key.added')).length).toBe(6);
  const [from = '', to = ''] = [events[100]?.time, events[200]?.time];
  const within = events.flatMap(({ time }, index) => (time >= from && time < to ? [index] : []));
  expect(
    (await query(dir, '--from', from, '--to', to, '--oldest-first', '-n', '300')).map(({ index }) => index),
  ).toEqual(within);
});

test('takes what a log has more, and is made anew by reindex', async () => {
  const index = ['--index', join(work, 'grown.db')];
  expect(await query(logOf('part', log.entries.slice(0, 200)), ...index, '-n', '500')).toHaveLength(200);
  const dir = logOf('grown', log.entries);
  expect(await query(dir, ...index, '-n', '500')).toHaveLength(300);
  const { stdout } = await run('reindex', '--log', dir, '--vkey', vkey, ...index);
  expect(stdout).toBe(`${join(work, 'grown.db')} knows 300 entries of log.example/agentgate\n`);
});

test('refuses a log that was cut back, one that was rewritten, and one whose entries are not its own', async () => {
  const index = ['--index', join(work, 'seen.db')];
  await query(logOf('seen', log.entries.slice(0, 250)), ...index);
  await expect(query(logOf('cut', log.entries.slice(0, 240)), ...index)).rejects.toThrow(
    /knows 250 entries, the log has 240/,
  );
  const rewritten = [...log.entries.slice(0, 10), ...log.entries.slice(11)];
  await expect(query(logOf('rewritten', rewritten), ...index)).rejects.toThrow(/does not go on from the 250 entries/);
  const files = publish(log.entries, signersOf(log.deployment, log.at));
  const other = publish(rewritten, signersOf(log.deployment, log.at));
  files.set('tile/entries/000', other.get('tile/entries/000') as Uint8Array);
  await expect(query(writeFiles(join(work, 'swapped'), files))).rejects.toThrow(
    'the entries do not lead to the checkpoint',
  );
});

test('finds by time whatever the order of the clocks', async () => {
  const index = openQueryIndex(':memory:');
  const places = [...events.keys()].map((i) => (i * 7) % events.length);
  const mixed = places.map((place) => log.entries[place] as string);
  await index.sync(await openPublishedLog({} as never, { log: logOf('times', mixed), vkey }));
  const times = places.map((place) => Date.parse(events[place]?.time ?? ''));
  expect(times).not.toEqual([...times].sort((a, b) => a - b));
  for (let at = 0; at < times.length; at += 7) {
    const [from, to] = [times[at] as number, (times[at] as number) + at * 1_000];
    const wanted = times.flatMap((time, i) => (time >= from && time < to ? [i] : []));
    const found = index.find({ from, to }, { limit: 1_000, newestFirst: false });
    expect(found.map((row) => row.index)).toEqual(wanted);
    expect(index.count({ from })).toBe(times.filter((time) => time >= from).length);
  }
  expect(index.find({ to: 1 }, { limit: 9, newestFirst: true })).toEqual([]);
  index.close();
});

test('keeps to what its own checkpoint covers, and says so, while another process takes more', async () => {
  const file = join(work, 'shared.db');
  const [first, second] = [openQueryIndex(file), openQueryIndex(file)];
  const part = await openPublishedLog({} as never, { log: logOf('begun', log.entries.slice(0, 200)), vkey });
  const whole = await openPublishedLog({} as never, { log: logOf('ended', log.entries), vkey });
  expect(await first.sync(part)).toBe(true);
  expect(await second.sync(whole)).toBe(true);
  const late = events[250]?.id ?? '';
  expect(first.count({})).toBe(200);
  expect(first.byId(late)).toBeUndefined();
  expect(second.byId(late)).toMatchObject({ index: 250 });
  expect(await first.sync(part)).toBe(false);
  expect(await first.sync(whole)).toBe(true);
  expect(first.byId(late)).toMatchObject({ index: 250 });
  first.close();
  second.close();
});

test('takes no other file for an index, and throws none away', async () => {
  const dir = logOf('files', log.entries);
  const text = join(work, 'notes.txt');
  writeFileSync(text, 'not an index, but somebody’s notes: '.repeat(9));
  const other = join(work, 'other.db');
  const db = new DatabaseSync(other);
  db.exec('CREATE TABLE meta (x); PRAGMA user_version = 1');
  db.close();
  for (const file of [text, other]) {
    const before = readFileSync(file);
    await expect(query(dir, '--index', file)).rejects.toThrow(`${file} is no index of evidence: give another --index`);
    await expect(run('reindex', '--log', dir, '--vkey', vkey, '--index', file)).rejects.toThrow(
      `${file} is no index of evidence, and is not thrown away`,
    );
    expect(readFileSync(file)).toEqual(before);
  }
});

test('says of a broken index how to make it anew, and does', async () => {
  const dir = logOf('broken', log.entries);
  const file = join(work, 'broken.db');
  await query(dir, '--index', file);
  const bytes = readFileSync(file);
  writeFileSync(file, Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(bytes.length - 100, 7)]));
  await expect(query(dir, '--index', file)).rejects.toThrow(`${file} is broken: "evidence reindex" makes it anew`);
  await run('reindex', '--log', dir, '--vkey', vkey, '--index', file);
  expect(await query(dir, '--index', file, '-n', '500')).toHaveLength(300);
});

test.each(['2026-11-25T18:00', '2026-11-25 18:00', '2026-02-30', '2026-13-01', 'today'])(
  'does not guess what time %s is',
  (time) => {
    expect(() => moment(time)).toThrow('must be a day in UTC or a time, as 2026-11-25 or 2026-11-25T18:00:00Z');
  },
);
test('takes a day in UTC, and a time with its zone', () => {
  expect(moment('2026-02-28')).toBe(Date.UTC(2026, 1, 28));
  expect(moment('2026-02-28T18:00:00.5+02:00')).toBe(Date.UTC(2026, 1, 28, 16, 0, 0, 500));
});

test('says so when a time begins after its end', async () => {
  const asked = query(logOf('whole', log.entries), '--from', '2026-02-01', '--to', '2026-01-01');
  await expect(asked).rejects.toThrow('--from must be before --to');
});

const event = (data: object, more: object = {}) =>
  ({
    id: 'evt_1',
    time: '2026-01-01T00:00:00.000Z',
    type: 'agentgate.x.y.v1',
    subject: 's',
    data,
    ...more,
  }) as EvidenceEvent;

test.each<[string, EvidenceEvent, object]>([
  [
    'a decision',
    event({ call: 'c', tool: 't/x', decision: { action: 'deny', code: 'NO_GRANT' } }),
    { call: 'c', tool: 't/x', outcome: 'deny', code: 'NO_GRANT' },
  ],
  ['an outcome', event({ call: 'c', outcome: 'timeout', code: 'TIMEOUT' }), { outcome: 'timeout', code: 'TIMEOUT' }],
  ['a kill of a session', event({ scope: { kind: 'session', id: 'ses_1' } }), { session: 'ses_1', agent: null }],
  [
    'an incident',
    event({ incident: 'inc_1', scope: { kind: 'agent', id: 'demo', tenant: 'acme' } }),
    { incident: 'inc_1', agent: 'demo', tenant: 'acme' },
  ],
  ['nothing of the kind', event({ call: 7, scope: null, decision: 'x' }), { call: null, outcome: null, type: 'x.y' }],
])('reads %s', (_, given, wanted) => {
  expect(rowOf(given)).toMatchObject(wanted);
});
