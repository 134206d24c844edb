import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NOTE_COSIGNATURE, parseVkey } from '@agentgate/evidence';
import { afterAll, expect, test } from 'vitest';
import { addLog, initWitness, readWitness } from '../src/folder.ts';
import { createLog } from './log.ts';

const root = mkdtempSync(join(tmpdir(), 'agentgate-witness-folder-'));
afterAll(() => rmSync(root, { recursive: true }));
let folders = 0;
const fresh = () => join(root, String(folders++));
const log = createLog('log.example/a');
const name = 'witness.example/w1';

test('makes a witness with a key of its own, private, that knows its logs', () => {
  const folder = fresh();
  initWitness(folder, { name, logs: [log.vkey] });
  const { signer, vkey, logs } = readWitness(folder);
  expect(parseVkey(vkey, NOTE_COSIGNATURE)).toMatchObject({ name, key: { publicKey: signer.key.publicKey } });
  expect([...logs]).toMatchObject([[log.origin, [{ name: log.origin, id: log.noteKey.id }]]]);
  expect(statSync(folder).mode & 0o077).toBe(0);
  for (const file of readdirSync(folder))
    expect({ file, mode: statSync(join(folder, file)).mode & 0o077 }).toEqual({ file, mode: 0 });
  const other = fresh();
  initWitness(other, { name, logs: [] });
  expect(readWitness(other).vkey).not.toBe(vkey);
});

test('takes another log, and another key of one, once', () => {
  const folder = fresh();
  initWitness(folder, { name, logs: [log.vkey] });
  const [next, other] = [createLog(log.origin), createLog('log.example/b')];
  for (const { vkey } of [next, other, next, log]) addLog(folder, vkey);
  expect([...readWitness(folder).logs].map(([origin, keys]) => [origin, keys.length]).sort()).toEqual([
    [log.origin, 2],
    [other.origin, 1],
  ]);
});

test('makes the folders above it where they are missing', () => {
  const folder = join(fresh(), 'of', 'mine');
  initWitness(folder, { name, logs: [] });
  expect(readWitness(folder).signer.name).toBe(name);
  expect(statSync(join(folder, '..')).mode & 0o077).toBe(0);
});

test('a folder in one that takes none is refused at once', () => {
  const source = new URL('../src/folder.ts', import.meta.url).href;
  const script = `import { initWitness } from '${source}';
    try { initWitness('/proc/agentgate/w', { name: '${name}', logs: [] }); } catch (error) { console.log(error.name, error.message); }`;
  // In a process of its own: what turns in a circle inside a system call's wrapper hears no timer.
  const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 15_000,
    killSignal: 'SIGKILL',
  });
  expect({ stdout, signal }).toMatchObject({
    signal: null,
    stdout: expect.stringMatching(/^WitnessError \/proc\/agentgate\/w: cannot be made: /),
  });
});

const spoil = (folder: string, change: (text: string) => string) => {
  const file = join(folder, 'witness.json');
  writeFileSync(file, change(readFileSync(file, 'utf8')));
};

test.each<[string, (folder: string) => void, RegExp]>([
  ['no folder', (folder) => rmSync(folder, { recursive: true }), /holds no witness: agentgate witness init makes one$/],
  [
    'no memory',
    (folder) => rmSync(join(folder, 'state.db')),
    /state\.db is missing: a witness that forgot what it signed must not sign again; make a new one$/,
  ],
  [
    'a broken seed',
    (folder) => writeFileSync(join(folder, 'key.seed'), 'x\n'),
    /key\.seed: the seed is not 32 bytes in base64url$/,
  ],
  ['no JSON', (folder) => spoil(folder, () => '{'), /witness\.json is not JSON$/],
  [
    'an unknown key',
    (folder) => spoil(folder, (t) => t.replace('"v"', '"w":1,"v"')),
    /witness\.json: it: Unrecognized key: "w"$/,
  ],
  [
    'the key of a witness as that of a log',
    (folder) => spoil(folder, (t) => t.replace(log.vkey, readWitness(folder).vkey)),
    /the key of log\.example\/a: the verifier key is of type 4, not 1$/,
  ],
  [
    'one origin twice',
    (folder) => spoil(folder, (t) => t.replace('"logs": [', `"logs": [{"origin":"${log.origin}","vkeys":["x"]},`)),
    /logs: two logs have one origin$/,
  ],
])('does not start with %s', (_, break_, message) => {
  const folder = fresh();
  initWitness(folder, { name, logs: [log.vkey] });
  break_(folder);
  expect(() => readWitness(folder)).toThrow(message);
});

test('does not make a second witness where one is', () => {
  const folder = fresh();
  initWitness(folder, { name, logs: [] });
  const { vkey } = readWitness(folder);
  expect(() => initWitness(folder, { name, logs: [] })).toThrow(`${folder} holds a witness already`);
  expect(readWitness(folder).vkey).toBe(vkey);
});

test.each([
  [
    'a name with a space',
    { name: 'a b', logs: [] },
    'the name: the name of a note key may hold neither a space nor a plus',
  ],
  ['no key', { name, logs: ['x'] }, 'the key of a log: the verifier key is not <name>+<8 hex digits>+<base64>'],
])('makes none with %s', (_, options, message) => {
  const folder = fresh();
  expect(() => initWitness(folder, options)).toThrow(message);
  expect(() => readWitness(folder)).toThrow('holds no witness');
});
