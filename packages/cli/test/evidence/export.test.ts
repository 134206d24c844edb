import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Excerpt, leafHash, parseProof, verifyProof } from '@agentgate/evidence';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { makeLog, vkeysOf } from '../../../evidence/test/verify/log-maker.ts';
import { trustOf } from '../../../evidence/test/verify/trust.ts';
import { registerExport } from '../../src/evidence/export.ts';
import { registerProve } from '../../src/evidence/prove.ts';
import { registerQuery } from '../../src/evidence/query.ts';
import { registerVerify } from '../../src/evidence/verify.ts';
import { runnerOf, workFolder, writeFiles } from './run.ts';

// What leaves a log as one file, and what an auditor with keys of their own makes of it.

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });
const log = makeLog(21, 700);
const { keys } = log.deployment;
const vkeys = vkeysOf(keys);
const trust = ['--vkey', vkeys.log, '--witness', vkeys.witness, '--deployment-key', keys.deployment.publicKey];
const run = runnerOf((program, work) => {
  for (const register of [registerExport, registerProve, registerQuery, registerVerify]) register(program, work);
});
let work: string;
let from: string[];
beforeAll(() => {
  work = workFolder();
  from = ['--log', writeFiles(join(work, 'log'), log.files), '--vkey', vkeys.log];
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

const eventAt = (index: number) =>
  (JSON.parse(log.entries[index] as string) as { event: { id: string; type: string } }).event;
const exported = async (format: string, ...more: string[]) => {
  const out = join(work, `out.${format}`);
  const told = await run('export', ...from, '--session', 'ses_0000000001', '--format', format, '--out', out, ...more);
  expect(told.code).toBe(0);
  return { out, text: readFileSync(out, 'utf8') };
};

test('prove writes a C2SP tlog-proof that verifies, with the entry beside it', async () => {
  for (const index of [0, 255, 256, 650, 699]) {
    const out = join(work, `${index}.proof`);
    const { code, stdout } = await run('prove', eventAt(index).id, ...from, '--out', out);
    expect(code).toBe(0);
    expect(stdout).toContain(`npx agentgate evidence verify ${out} --vkey`);
    const proof = readFileSync(out, 'utf8');
    expect(parseProof(proof).index).toBe(index);
    const entry = readFileSync(`${out}.entry`, 'utf8');
    expect(entry).toBe(log.entries[index]);
    const { log: key, witnesses } = trustOf(log);
    const wanted = { leafHash: leafHash(entry), origin: key.name, keys: [key], witnesses };
    expect(verifyProof(proof, wanted)).toMatchObject({ ok: true });
    expect((await run('verify', out, ...trust)).code).toBe(0);
  }
});

test('a proof is refused with a changed entry, and of another log', async () => {
  const out = join(work, 'one.proof');
  await run('prove', eventAt(300).id, ...from, '--out', out);
  const other = vkeysOf(makeLog(22, 20).deployment.keys);
  expect(await run('verify', out, '--vkey', other.log)).toMatchObject({ code: 1 });
  writeFileSync(`${out}.entry`, (log.entries[300] as string).replace('call_', 'cell_'));
  const { code, stdout } = await run('verify', out, ...trust);
  expect(code).toBe(1);
  expect(stdout).toBe("✗ the path does not lead from leaf 300 to the checkpoint's root\n");
});

test('prove says so when no event has that id', async () => {
  await expect(run('prove', 'evt_9999999999', ...from)).rejects.toThrow(
    'no event of the log has id evt_9999999999: its newest checkpoint covers 700 entries, and one covers what is new within a second',
  );
  await expect(run('prove', 'call_1', ...from)).rejects.toThrow('event: must be the id of an event, as evt_…');
});

test('a JSON export verifies with keys from elsewhere, and says whose word it is', async () => {
  const { out, text } = await exported('json');
  const excerpt = JSON.parse(text) as Excerpt;
  const wanted = log.entries.filter((entry) => entry.includes('"session":"ses_0000000001"'));
  expect(excerpt.entries.map(({ entry }) => entry)).toEqual(wanted);
  const told = await run('verify', out, ...trust, '--json');
  expect(told.code).toBe(0);
  expect(JSON.parse(told.stdout)).toMatchObject({
    ok: true,
    keys: 'deployment',
    size: 700,
    cosignatures: [{ witness: 'witness.example/w1' }],
  });
  const alone = await run('verify', out, '--vkey', vkeys.log);
  expect(alone.stdout).toContain('none was asked for: this is the word of the log’s operator');
  expect(alone.stdout).toContain('by the log alone');
});

test.each<[string, (excerpt: Excerpt) => unknown, RegExp]>([
  [
    'an event',
    ({ entries: [first] }) => Object.assign(first as object, { entry: first?.entry.replace('call_', 'cell_') }),
    /the log does not hold this as entry \d+/,
  ],
  [
    'an index',
    ({ entries: [first] }) => Object.assign(first as object, { index: 3 }),
    /the log does not hold this as entry 3/,
  ],
  [
    'a path',
    ({ entries: [first, second] }) => Object.assign(first as object, { path: second?.path }),
    /the log does not hold this as entry/,
  ],
  [
    'the checkpoint',
    (excerpt) => Object.assign(excerpt, { checkpoint: excerpt.checkpoint.replace('700', '701') }),
    /signature of .* is wrong/,
  ],
  [
    'how often an entry stands there',
    ({ entries }) => (entries as unknown[]).unshift(entries[0]),
    /entry \d+: it stands twice/,
  ],
  [
    'the order of its entries',
    ({ entries }) => (entries as unknown[]).reverse(),
    /entry \d+: it stands after entry \d+/,
  ],
  [
    'all there was, which is gone',
    (excerpt) => Object.assign(excerpt, { entries: [] }),
    /the excerpt holds no entry, so it proves nothing/,
  ],
  ['the keys', (excerpt) => Object.assign(excerpt, { keys: [] }), /no key [0-9a-f]{16} of agentgate/],
])('a JSON export is refused when %s was changed', async (_, change, reason) => {
  const { out, text } = await exported('json');
  const excerpt = JSON.parse(text) as Excerpt;
  change(excerpt);
  writeFileSync(out, JSON.stringify(excerpt));
  const { code, stdout } = await run('verify', out, ...trust);
  expect(code).toBe(1);
  expect(stdout).toMatch(reason);
});

test('verify takes a page, too, and reads nothing of it but the excerpt', async () => {
  const { out, text } = await exported('html');
  expect(text).toContain(`npx agentgate evidence verify out.html --vkey ${vkeys.log}`);
  expect(await run('verify', out, ...trust)).toMatchObject({ code: 0 });
  writeFileSync(out, text.replace('\\"agent\\":\\"demo\\"', '\\"agent\\":\\"eve\\"'));
  expect(readFileSync(out, 'utf8')).not.toBe(text);
  expect(await run('verify', out, ...trust)).toMatchObject({ code: 1 });
  writeFileSync(out, text.replace('<main>', '<main><script type="application/json" id="excerpt">{}</script>'));
  const { code, stderr } = await run('verify', out, ...trust);
  expect({ code, stderr }).toEqual({ code: 2, stderr: 'agentgate: the page does not hold one excerpt of a log\n' });
});

test('verify does not take options in silence that a file cannot answer', async () => {
  const { out } = await exported('json');
  for (const [option, ...value] of [
    ['--max-age', '10m'],
    ['--remember', join(work, 'memory.json')],
    ['--from-index', '5'],
    ['--no-seals'],
    ['--accept-disclosed'],
  ]) {
    const { code, stderr } = await run('verify', out, ...trust, option as string, ...value);
    expect(code).toBe(2);
    expect(stderr).toBe(`agentgate: ${option} is about a whole log, and ${out} is a file of it\n`);
  }
});

test('a key that is none is told by its option', async () => {
  const { out } = await exported('json');
  const bad = await run('verify', out, '--vkey', vkeys.log, '--deployment-key', 'none');
  expect(bad).toMatchObject({ code: 2, stderr: expect.stringMatching(/^agentgate: --deployment-key: /) });
  await expect(run('query', '--log', join(work, 'log'), '--vkey', 'none')).rejects.toThrow(/^--vkey: /);
  for (const [option, value] of [
    ['--witness', vkeys.log],
    ['--deployment-key', '<b>'],
  ] as const)
    await expect(run('export', ...from, '--agent', 'demo', '--format', 'html', option, value)).rejects.toThrow(
      new RegExp(`^${option}: `),
    );
});

test('what an index says wrongly is neither proven nor exported', async () => {
  const file = join(work, 'poisoned.db');
  await run('query', ...from, '--index', file);
  const db = new DatabaseSync(file);
  const [a, b] = [eventAt(300), eventAt(301)];
  db.prepare('UPDATE events SET id = ? WHERE idx = 300').run(b.id);
  db.prepare('UPDATE events SET id = ? WHERE idx = 301').run(a.id);
  db.prepare("UPDATE events SET agent = 'mallory' WHERE idx = 400").run();
  db.close();
  const wrong = (at: number) => `the index is wrong about entry ${at}: "agentgate evidence reindex" makes it anew`;
  await expect(run('prove', a.id, ...from, '--index', file)).rejects.toThrow(wrong(301));
  await expect(run('export', ...from, '--index', file, '--agent', 'mallory', '--format', 'json')).rejects.toThrow(
    wrong(400),
  );
});

test('what is written is for its owner alone, and what cannot be is told by its option', async () => {
  const { out } = await exported('json');
  expect(statSync(out).mode & 0o777).toBe(0o600);
  const nowhere = join(work, 'nowhere', 'x.json');
  await expect(run('export', ...from, '--agent', 'demo', '--format', 'json', '--out', nowhere)).rejects.toThrow(
    `--out: ${nowhere} cannot be written (ENOENT)`,
  );
  const old = join(work, 'old.pdf');
  writeFileSync(old, 'before');
  await expect(run('export', ...from, '--agent', 'demo', '--format', 'pdf', '--out', old)).rejects.toThrow('Chromium');
  expect(readFileSync(old, 'utf8')).toBe('before');
});

test('an OCSF export is of class API Activity as OCSF 1.8 has it, each with its proof', async () => {
  const schema = JSON.parse(readFileSync(new URL('ocsf-1.8.0-api_activity.schema.json', import.meta.url), 'utf8'));
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema);
  const out = join(work, 'all.ocsf');
  await run('export', ...from, '--from', '2020-01-01', '--format', 'ocsf', '--out', out);
  const events = JSON.parse(readFileSync(out, 'utf8')) as {
    raw_data: string;
    class_uid: number;
    unmapped: { evidence: { proof: string } };
  }[];
  expect(events).toHaveLength(700);
  for (const event of events) {
    expect(validate(event), JSON.stringify(validate.errors)).toBe(true);
    const { log: key, witnesses } = trustOf(log);
    const wanted = { leafHash: leafHash(event.raw_data), origin: key.name, keys: [key], witnesses };
    expect(verifyProof(event.unmapped.evidence.proof, wanted).ok).toBe(true);
  }
  expect(validate({ ...events[0], class_uid: 6004 })).toBe(false);
  expect(validate({ ...events[0], surprise: 1 })).toBe(false);
});

test('a CloudEvents export is a batch of the events themselves, each with its proof', async () => {
  const { text } = await exported('cloudevents');
  const events = JSON.parse(text) as Record<string, string>[];
  for (const { evidenceentry = '', evidenceindex, evidenceproof = '', ...event } of events) {
    expect(event).toMatchObject({ specversion: '1.0' });
    expect(evidenceentry).toBe(log.entries[Number(evidenceindex)]);
    expect((JSON.parse(evidenceentry) as { event: object }).event).toEqual(event);
    const { log: key, witnesses } = trustOf(log);
    const wanted = { leafHash: leafHash(evidenceentry), origin: key.name, keys: [key], witnesses };
    expect(verifyProof(evidenceproof, wanted).ok).toBe(true);
  }
  // CloudEvents 1.0, "Attribute Naming": lower-case letters and digits.
  for (const name of Object.keys(events[0] ?? {})) expect(name).toMatch(/^[a-z0-9]{1,20}$/);
});

test('export says what is missing', async () => {
  await expect(run('export', ...from, '--format', 'json')).rejects.toThrow('say what to export');
  await expect(run('export', ...from, '--session', 'ses_nobody', '--format', 'json')).rejects.toThrow(
    'no event of the log is like that',
  );
  await expect(run('export', ...from, '--agent', 'demo', '--format', 'pdf')).rejects.toThrow('--out is missing');
  await expect(
    run('export', ...from, '--agent', 'demo', '--format', 'pdf', '--out', join(work, 'x.pdf')),
  ).rejects.toThrow('there is no Chromium on PATH');
});
