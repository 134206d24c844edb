import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import {
  EvidenceError,
  formatVkey,
  generateSigningKey,
  NOTE_ED25519,
  type NoteKey,
  type NoteSigner,
  parseVkey,
  signingKeyFromSeed,
  witnessVerifierKey,
} from '@agentgate/evidence';
import { z } from 'zod';
import { WitnessError } from './error.ts';
import { openState, type SqliteState } from './state.ts';

// A witness is a folder: witness.json (its name, the logs), key.seed, state.db. Key and memory belong together for ever.

const origin = z.string().min(1).max(255);
const vkey = z.string().min(1).max(1024);
const settings = z.strictObject({
  v: z.literal(1),
  name: z.string().min(1).max(255),
  logs: z
    .array(z.strictObject({ origin, vkeys: z.array(vkey).min(1).max(8) }))
    .max(1024)
    .refine((logs) => new Set(logs.map((log) => log.origin)).size === logs.length, 'two logs have one origin'),
});
type Settings = z.infer<typeof settings>;

export interface WitnessFolder {
  signer: NoteSigner;
  /** What whoever relies on this witness needs of it. */
  vkey: string;
  logs: ReadonlyMap<string, readonly NoteKey[]>;
  openState(): SqliteState;
}

const settingsIn = (folder: string) => join(folder, 'witness.json');
const seedIn = (folder: string) => join(folder, 'key.seed');
const stateIn = (folder: string) => join(folder, 'state.db');

/** Makes a witness in a folder that has none. The settings are written last: without them it is not one yet. */
export const initWitness = (folder: string, { name, logs }: { name: string; logs: readonly string[] }): void => {
  try {
    makeFolder(folder);
  } catch (cause) {
    throw new WitnessError(`${folder}: cannot be made: ${(cause as Error).message}`, { cause });
  }
  chmodSync(folder, 0o700);
  if (existsSync(settingsIn(folder))) throw new WitnessError(`${folder} holds a witness already`);
  const key = generateSigningKey();
  readable('the name', () => witnessVerifierKey(name, key.publicKey));
  const told = logs.reduce(withLog, { v: 1, name, logs: [] });
  // What an earlier attempt left has signed nothing.
  for (const rest of ['', '-wal', '-shm']) rmSync(`${stateIn(folder)}${rest}`, { force: true });
  writeWhole(seedIn(folder), `${key.seed}\n`);
  closeSync(openSync(stateIn(folder), 'wx', 0o600));
  openState(stateIn(folder), { make: true }).close();
  writeWhole(settingsIn(folder), `${JSON.stringify(told, null, 2)}\n`);
  syncFolder(folder);
};

/** Not by Node's `recursive`, which tries for ever where a folder that is there can have none in it, as /proc. */
const makeFolder = (folder: string): void => {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  makeFolder(dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
};

/** Has the witness know a log, or another key of one. It takes effect at the next start. */
export const addLog = (folder: string, log: string): void => {
  const before = readSettings(folder);
  const after = withLog(before, log);
  if (after === before) return;
  writeWhole(settingsIn(folder), `${JSON.stringify(after, null, 2)}\n`);
  syncFolder(folder);
};

/** Throws WitnessError for anything that is not as initWitness left it: without its memory a key must not sign. */
export const readWitness = (folder: string): WitnessFolder => {
  const { name, logs } = readSettings(folder);
  const key = readable(seedIn(folder), () => signingKeyFromSeed(readFileSync(seedIn(folder), 'utf8').trim()));
  if (!existsSync(stateIn(folder)))
    throw new WitnessError(
      `${stateIn(folder)} is missing: a witness that forgot what it signed must not sign again; make a new one`,
    );
  return {
    signer: { name, key },
    vkey: readable('the name', () => witnessVerifierKey(name, key.publicKey)),
    logs: new Map(
      logs.map((log) => [
        log.origin,
        log.vkeys.map((text) => readable(`the key of ${log.origin}`, () => parseVkey(text, NOTE_ED25519))),
      ]),
    ),
    openState: () => openState(stateIn(folder)),
  };
};

const readSettings = (folder: string): Settings => {
  const file = settingsIn(folder);
  if (!existsSync(file)) throw new WitnessError(`${folder} holds no witness: agentgate witness init makes one`);
  const parsed = settings.safeParse(jsonOf(file));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new WitnessError(`${file}: ${issue?.path.join('.') || 'it'}: ${issue?.message}`);
};

const jsonOf = (file: string): unknown => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new WitnessError(`${file} is not JSON`, { cause });
  }
};

/** The log's origin is its key's name, as C2SP tlog-checkpoint recommends. */
const withLog = (before: Settings, text: string): Settings => {
  const key = readable('the key of a log', () => parseVkey(text, NOTE_ED25519));
  const known = before.logs.find((log) => log.origin === key.name);
  if (known?.vkeys.includes(formatVkey(key))) return before;
  const others = before.logs.filter((log) => log !== known);
  return { ...before, logs: [...others, { origin: key.name, vkeys: [...(known?.vkeys ?? []), formatVkey(key)] }] };
};

const readable = <T>(what: string, read: () => T): T => {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof EvidenceError) throw new WitnessError(`${what}: ${cause.message}`, { cause });
    throw cause;
  }
};

const writeWhole = (file: string, text: string): void => {
  const fresh = `${file}.new`;
  rmSync(fresh, { force: true });
  const fd = openSync(fresh, 'wx', 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(fresh, file);
};

const syncFolder = (folder: string): void => {
  const fd = openSync(folder, 'r');
  fsyncSync(fd);
  closeSync(fd);
};
