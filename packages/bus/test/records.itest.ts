import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type BucketRecords, type Bus, connectBus, createRecords, type HeldRecord } from '../src/index.ts';

const note = z.strictObject({ id: z.string(), text: z.string(), over: z.boolean().default(false) });
type Note = z.infer<typeof note>;

let ground: Ground;
let bus: Bus;
let one: BucketRecords<Note>;
let other: BucketRecords<Note>;
let keys = 0;
const fresh = (text = 'first'): Note => ({ id: `note-${++keys}`, text, over: false });

const recordsOf = (name: string) =>
  createRecords<Note>(bus.bucket(name), {
    keyOf: ({ id }) => id,
    parse: (value) => (value === 'taken' ? undefined : note.parse(value)),
    keptS: ({ over }) => (over ? 1 : undefined),
    writeMs: 2_000,
    failure: (cause) => new Error('the notes do not answer', { cause }),
  });

beforeAll(async () => {
  ground = await startGround({ redis: false });
  bus = await connectBus({
    servers: ground.natsUrl,
    creds: await ground.mintUser({ account: 'CORE', user: 'keeper', pub: ['>'], sub: ['>'] }),
    user: 'keeper',
    instance: 'k-1',
  });
  [one, other] = [recordsOf('APPROVALS'), recordsOf('APPROVALS')];
});
afterAll(async () => {
  await bus?.close();
  await ground?.stop();
});

const revisionOf = async (written: Promise<number | 'conflict'>): Promise<number> => {
  const revision = await written;
  if (revision === 'conflict') throw new Error('somebody else wrote first');
  return revision;
};

test('a record is created once and read as it was written', async () => {
  const record = fresh();
  const made = await Promise.all([one.create(record), other.create({ ...record, text: 'the other' })]);
  const revision = Math.max(...made.filter((each) => each !== 'conflict'));
  expect(made.toSorted()).toEqual([revision, 'conflict']);
  const text = made[0] === 'conflict' ? 'the other' : 'first';
  expect(await other.read(record.id)).toEqual({ record: { ...record, text }, revision });
});

test('whoever writes second is told conflict, and nothing of theirs is kept', async () => {
  const record = fresh();
  const revision = await revisionOf(one.create(record));
  const next = await revisionOf(one.update({ ...record, text: 'second' }, revision));
  expect(await other.update({ ...record, text: 'lost' }, revision)).toBe('conflict');
  expect(await other.read(record.id)).toEqual({ record: { ...record, text: 'second' }, revision: next });
});

test('a record goes by itself once its time is over, and only then', async () => {
  const [staying, going] = [fresh(), { ...fresh(), over: true }];
  await revisionOf(one.create(staying));
  await revisionOf(one.create(going));
  expect(await one.read(going.id)).toMatchObject({ record: going });
  await expect.poll(() => one.read(going.id), { timeout: 10_000 }).toBeUndefined();
  expect(await one.read(staying.id)).toMatchObject({ record: staying });
});

test('an index is told what stands there, then each change, and what it cannot read is named', async () => {
  const seen: string[] = [];
  const told = (what: string) => void seen.push(what);
  const bucket = bus.bucket('INCIDENTS');
  const records = recordsOf('INCIDENTS');
  const revision = await revisionOf(records.create({ id: 'a', text: 'first', over: false }));
  await bucket.put('broken', '{');
  await bucket.put('taken', '"taken"');
  const index = {
    put: ({ record, revision: r }: HeldRecord<Note>) => told(`${record.id} ${record.text} ${r}`),
    drop: (key: string) => told(`${key} dropped`),
  };
  const follower = await records.feed(index, (error, key) => told(`${key} ${(error as Error).name}`));
  expect(seen).toEqual([`a first ${revision}`, 'broken SyntaxError']);
  const next = await revisionOf(records.update({ id: 'a', text: 'second', over: false }, revision));
  // A bucket keeps the last value of a key alone: what is gone before it was told is never told.
  await expect.poll(() => seen.slice(2)).toEqual([`a second ${next}`]);
  await bucket.purge('a');
  await expect.poll(() => seen.slice(3)).toEqual(['a dropped']);
  await follower.close();
});

test('a record that cannot be read, or a bucket that is none, is a failure of the bucket', async () => {
  await bus.bucket('APPROVALS').put('broken', '{}');
  await expect(one.read('broken')).rejects.toThrow('the notes do not answer');
  const nowhere = recordsOf('NOWHERE');
  await expect(nowhere.create(fresh())).rejects.toThrow('the notes do not answer');
  await expect(nowhere.read('a')).rejects.toThrow('the notes do not answer');
});
