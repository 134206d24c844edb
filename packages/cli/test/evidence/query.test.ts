import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { EvidenceEvent } from '@agentgate/evidence';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { makeLog, publish, signersOf, vkeysOf } from '../../../evidence/test/verify/log-maker.ts';
import { rowOf } from '../../src/evidence/index-row.ts';
import { registerQuery } from '../../src/evidence/query.ts';
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
