import { describe, expect, test } from 'vitest';
import {
  batchFit,
  type ChainItem,
  createChain,
  createKeyRing,
  disclosureText,
  encodeBatch,
  joinDisclosures,
  MAX_BATCH_BYTES,
  MAX_DISCLOSURE_BYTES,
  openBatch,
  readDisclosures,
  saltedDigest,
  splitDisclosures,
} from '../src/index.ts';
import { draft, itemsOf, keyOf, source } from './sample.ts';

const key = keyOf(1);
const keys = createKeyRing([{ signer: 'agentgate/ingress/', publicKey: key.publicKey }]);
const value = { path: '/srv/é.txt', content: 'a\nb' };
const { digest, salt } = saltedDigest(value);
const field = 'arguments_digest';
/** A chain's items of which the second has a digest in place of its arguments. */
const items = (disclosures?: string[]): ChainItem[] => {
  const chain = createChain({ source, epoch: 'epoch-1' });
  const first = chain.next(draft(1));
  const second = chain.next({ ...draft(2), data: { call: 'call_2', arguments_digest: { sha256: digest, bytes: 9 } } });
  return [first, disclosures ? { ...second, disclosures } : second];
};
const events = items().map(({ event }) => event);
const read = (...disclosures: unknown[]) => readDisclosures(Buffer.from(JSON.stringify(disclosures)), events);

describe('a message with disclosures', () => {
  test('is the sealed batch, untouched, and what opens its digests', () => {
    const sealed = encodeBatch(items(), key);
    const disclosing = items([disclosureText({ field, salt, value })]);
    const message = joinDisclosures(encodeBatch(disclosing, key), disclosing);
    const parts = splitDisclosures(message);
    expect(Buffer.from(parts.sealed).toString()).toBe(sealed);
    expect(openBatch(parts.sealed, keys)).toMatchObject({ ok: true });
    expect(readDisclosures(parts.disclosures as Uint8Array, events)).toEqual({
      kept: [{ event: events[1], disclosure: { field, salt, value } }],
      faults: [],
    });
  });

  test('is the sealed batch alone where there is nothing to disclose', () => {
    const sealed = encodeBatch(itemsOf(3), key);
    expect(joinDisclosures(sealed, itemsOf(3))).toEqual(Buffer.from(sealed));
    expect(splitDisclosures(Buffer.from(sealed)).disclosures).toBeUndefined();
  });

  test('stays within what a batch may weigh', () => {
    const large = disclosureText({ field, salt, value: 'x'.repeat(300_000) });
    const three = itemsOf(3).map((item) => ({ ...item, disclosures: [large] }));
    const fit = batchFit(three);
    expect(fit).toBe(3);
    const four = itemsOf(4).map((item) => ({ ...item, disclosures: [large] }));
    const taken = four.slice(0, batchFit(four));
    expect(taken).toHaveLength(3);
    expect(joinDisclosures(encodeBatch(taken, key), taken).length).toBeLessThan(MAX_BATCH_BYTES);
  });

  test('leaves with the salt alone where the value is too large to travel', () => {
    const text = disclosureText({ field, salt, value: 'x'.repeat(MAX_DISCLOSURE_BYTES) });
    expect(JSON.parse(text)).toEqual({ field, salt });
  });
});

describe('readDisclosures', () => {
  test('keeps a salt without its value', () => {
    expect(read({ event: 1, disclosure: { field, salt } }).kept).toEqual([
      { event: events[1], disclosure: { field, salt } },
    ]);
  });

  const other = saltedDigest(value).salt;
  test.each<[string, unknown, string]>([
    [
      'another value',
      { event: 1, disclosure: { field, salt, value: 1 } },
      'what is disclosed of arguments_digest is not what its digest stands for',
    ],
    [
      'another salt',
      { event: 1, disclosure: { field, salt: other, value } },
      'what is disclosed of arguments_digest is not what its digest stands for',
    ],
    [
      'a value that has no canonical form',
      { event: 1, disclosure: { field, salt, value: '\ud800' } },
      'what is disclosed of arguments_digest is not what its digest stands for',
    ],
    [
      'a salt that is none',
      { event: 1, disclosure: { field, salt: 'short' } },
      'the salt of arguments_digest is not 32 bytes in base64url',
    ],
    [
      'an event without a digest',
      { event: 0, disclosure: { field, salt } },
      'arguments_digest is no digest of the event',
    ],
    [
      'an inherited member',
      { event: 1, disclosure: { field: 'constructor', salt } },
      'constructor is no digest of the event',
    ],
    ['no member', { event: 1, disclosure: { salt } }, 'a disclosure names no member of its event'],
    [
      'an event beyond the batch',
      { event: 2, disclosure: { field, salt } },
      'a disclosure names no event of its batch',
    ],
    ['null', null, 'a disclosure names no event of its batch'],
  ])('finds fault with %s, and keeps the others', (_, wrong, reason) => {
    const { kept, faults } = read(wrong, { event: 1, disclosure: { field, salt, value } });
    expect(faults.map((fault) => fault.reason)).toEqual([reason]);
    expect(kept).toHaveLength(1);
  });

  test('finds fault with a second disclosure of the same digest', () => {
    const one = { event: 1, disclosure: { field, salt, value } };
    expect(read(one, one).faults).toEqual([{ event: events[1], reason: 'arguments_digest is disclosed twice' }]);
  });

  test('finds fault with what would be too large to tell again, however short it came', () => {
    const long = `[${'1e20,'.repeat(100_000)}1]`;
    const { digest: sha256 } = saltedDigest(JSON.parse(long), salt);
    const { event } = createChain({ source, epoch: 'e' }).next({ ...draft(1), data: { arguments_digest: { sha256 } } });
    const text = `[{"event":0,"disclosure":{"field":"${field}","salt":"${salt}","value":${long}}}]`;
    expect(text.length).toBeLessThan(MAX_DISCLOSURE_BYTES);
    expect(readDisclosures(Buffer.from(text), [event])).toEqual({
      kept: [],
      faults: [{ event, reason: 'what is disclosed of arguments_digest is larger than 524288 bytes' }],
    });
  });

  test('keeps 16 of an event, as many as one answer tells', () => {
    const names = Array.from({ length: 17 }, (_, i) => `digest_${'abcdefghijklmnopq'[i]}`);
    const data = Object.fromEntries(names.map((name) => [name, digest]));
    const { event } = createChain({ source, epoch: 'e' }).next({ ...draft(1), data });
    const all = names.map((name) => ({ event: 0, disclosure: { field: name, salt } }));
    const { kept, faults } = readDisclosures(Buffer.from(JSON.stringify(all)), [event]);
    expect(kept).toHaveLength(16);
    expect(faults).toEqual([{ event, reason: 'more than 16 of its digests are disclosed' }]);
  });

  test.each([
    ['no JSON', '['],
    ['no array', '{}'],
    ['no UTF-8', Buffer.from([0xff])],
  ])('finds fault with %s', (_, bytes) => {
    expect(readDisclosures(Buffer.from(bytes), events)).toEqual({
      kept: [],
      faults: [{ reason: 'the disclosures are not a JSON array of at most 1024' }],
    });
  });
});
