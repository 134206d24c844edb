import { generateSigningKey } from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { createEntryVerifier } from '../../src/evidence/read.ts';
import { keys, messageOf, sealedEntries } from './entries.ts';

const drafts = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ id: `evt_${i}`, data: { call: `call_${i}` } }));
/** The problems of each of these entries of a log that begins at `first`. */
const problemsOf = (texts: (string | undefined)[], first = 0) => {
  const verify = createEntryVerifier(keys);
  return texts.map((text, i) => (text === undefined ? [] : verify(messageOf(text, first + i)).problems));
};

test('finds nothing wrong with a whole log', () => {
  expect(problemsOf([...sealedEntries(drafts(4)), ...sealedEntries(drafts(2), { instance: 'i2' })]).flat()).toEqual([]);
});

test('takes a chain as it begins when the log is read from its middle', () => {
  expect(problemsOf(sealedEntries(drafts(5)).slice(2), 7).flat()).toEqual([]);
});

test('names an event that is missing from its chain, once', () => {
  const [a, , c, d] = sealedEntries(drafts(4));
  expect(problemsOf([a, c, d])).toEqual([[], ['event 3 came after event 1'], []]);
});

test('names a chain that does not begin with its first event when the log is read from its start', () => {
  const [, b, c] = sealedEntries(drafts(3));
  expect(problemsOf([b, c])).toEqual([['epoch e1 begins with event 2, not with its first'], []]);
});

test('names an event that stands twice', () => {
  const [a, b] = sealedEntries(drafts(2));
  expect(problemsOf([a, b, a])).toEqual([[], [], ['event 1 came again and is not known to be the same']]);
});

test.each([
  ['a hole', 3, 'index 3 comes after 0'],
  ['a repeat', 0, 'index 0 comes after 0'],
  ['no number', Number.NaN, 'has no index'],
])('names an index that makes %s', (_, index, problem) => {
  const [a = '', b = ''] = sealedEntries(drafts(2));
  const verify = createEntryVerifier(keys);
  verify(messageOf(a, 0));
  expect(verify(messageOf(b, index)).problems).toEqual([problem]);
});

test('names a leaf hash that is not the one of the entry', () => {
  const [a = ''] = sealedEntries(drafts(1));
  expect(
    createEntryVerifier(keys)(messageOf(a, 0, { 'Ag-Index': '0', 'Ag-Leaf-Hash': '00'.repeat(32) })).problems,
  ).toEqual(['its leaf hash is another one']);
});

test('believes nothing of an entry that another key signed or that was changed', () => {
  const [forged = ''] = sealedEntries(drafts(1), { by: generateSigningKey() });
  const [good = ''] = sealedEntries(drafts(1));
  const verify = createEntryVerifier(keys);
  expect(verify(messageOf(forged, 0))).toMatchObject({ index: 0, problems: [expect.stringMatching(/^no key /)] });
  const changed = verify(messageOf(good.replace('call_0', 'call_9'), 1));
  expect(changed).toMatchObject({ problems: ['the path does not lead to the root'] });
  expect(changed.entry).toBeUndefined();
});
