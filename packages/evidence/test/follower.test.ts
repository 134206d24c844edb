import { expect, test } from 'vitest';
import { openBatch } from '../src/batch.ts';
import {
  createChain,
  createFollower,
  createKeyRing,
  createTree,
  encodeBatch,
  generateSigningKey,
  leafHash,
  NOTE_ED25519,
  noteKey,
  type StreamedEntry,
  sealedText,
  signCheckpoint,
} from '../src/index.ts';

const origin = 'log.example/follow';
const [logKey, producerKey] = [generateSigningKey(), generateSigningKey()];
const source = 'agentgate/ingress/i1';
const keys = createKeyRing([{ signer: source, publicKey: producerKey.publicKey }]);
const logKeys = [noteKey({ name: origin, type: NOTE_ED25519, publicKey: logKey.publicKey })];
const trust = { origin, logKeys, keys, witnesses: undefined };

/** Entries as audit would send them. */
const entriesOf = (count: number): StreamedEntry[] => {
  const chain = createChain({ source, epoch: 'e' });
  const items = Array.from({ length: count }, (_, n) =>
    chain.next({ id: `evt_${n}`, type: 'test.v1', subject: 's', time: '2026-01-01T00:00:00Z', data: { n } }),
  );
  const opened = openBatch(encodeBatch(items, producerKey), keys);
  if (!opened.ok) throw new Error(opened.reason);
  return opened.entries.map(({ text: event, seal }, index) => {
    const text = sealedText(event, seal);
    return { text, index, leafHash: leafHash(text).toString('hex') };
  });
};
const noteOf = (entries: readonly StreamedEntry[], key = logKey) => {
  const tree = createTree();
  for (const { text } of entries) tree.push(leafHash(text));
  return signCheckpoint({ origin, size: tree.size, root: tree.root() }, key);
};
const entries = entriesOf(9);
const [first, rest] = [entries.slice(0, 4), entries.slice(4)];

test('follows entries and the checkpoints over them, and goes on from an edge', () => {
  const follower = createFollower(trust);
  for (const entry of first) expect(follower.entry(entry)).toMatchObject({ ok: true, misplaced: undefined });
  const verdict = follower.checkpoint(noteOf(first));
  expect(verdict).toMatchObject({ ok: true, size: 4 });
  const later = createFollower({ ...trust, ...(verdict.ok && { from: verdict.edge }) });
  for (const entry of rest) expect(later.entry(entry)).toMatchObject({ ok: true, misplaced: undefined });
  expect(later.checkpoint(noteOf(entries))).toMatchObject({ ok: true, size: 9 });
});

test.each([
  ['left out', 'WRONG_INDEX', { index: 1 }],
  ['of another leaf hash', 'WRONG_LEAF_HASH', { leafHash: '0'.repeat(64) }],
])('says %s of an entry', (_, code, change) => {
  const follower = createFollower(trust);
  expect(follower.entry({ ...(entries[0] as StreamedEntry), ...change })).toMatchObject({ ok: false, code });
});

test('says BAD_PATH of an entry that was changed with its leaf hash, and WRONG_ROOT of the checkpoint after it', () => {
  const follower = createFollower(trust);
  const text = (entries[0] as StreamedEntry).text.replace('"n":0', '"n":7');
  expect(follower.entry({ text, index: 0, leafHash: leafHash(text).toString('hex') })).toMatchObject({
    ok: false,
    code: 'BAD_PATH',
  });
  for (const entry of first.slice(1)) follower.entry(entry);
  expect(follower.checkpoint(noteOf(first))).toMatchObject({ ok: false, code: 'WRONG_ROOT' });
});

test('says what is wrong with an event in a wrong place of its chain', () => {
  const follower = createFollower(trust);
  const [one, , three] = entries as [StreamedEntry, StreamedEntry, StreamedEntry];
  follower.entry(one);
  expect(follower.entry({ ...three, index: 1 })).toMatchObject({
    ok: true,
    misplaced: 'event 3 came after event 1',
  });
});

test('says WRONG_SIZE of a checkpoint that does not end with the last entry', () => {
  const follower = createFollower(trust);
  for (const entry of first) follower.entry(entry);
  for (const of of [first.slice(0, 3), entries])
    expect(follower.checkpoint(noteOf(of))).toMatchObject({ ok: false, code: 'WRONG_SIZE' });
});

test('says UNKNOWN_KEY of a checkpoint that another key signed', () => {
  const follower = createFollower(trust);
  for (const entry of first) follower.entry(entry);
  const stranger = noteOf(first, generateSigningKey());
  expect(follower.checkpoint(stranger)).toMatchObject({ ok: false, code: 'UNKNOWN_KEY' });
});
