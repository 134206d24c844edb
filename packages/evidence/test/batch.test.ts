import { describe, expect, test } from 'vitest';
import {
  type Batch,
  batchFit,
  type ChainItem,
  createChain,
  createKeyRing,
  createSealCache,
  type EvidenceEvent,
  encodeBatch,
  encodeEntry,
  leafHash,
  MAX_BATCH_BYTES,
  merkleRoot,
  openBatch,
  sealedText,
  signRoot,
  verifyEntry,
  verifySeal,
} from '../src/index.ts';
import { draft, itemsOf, keyOf, source } from './sample.ts';

const key = keyOf(1);
const keys = createKeyRing([{ signer: 'agentgate/ingress/', publicKey: key.publicKey }]);
const items = itemsOf(5);
const body = encodeBatch(items, key);
const reopen = (change: Partial<Record<keyof Batch | 'extra', unknown>>) =>
  openBatch(JSON.stringify({ ...(JSON.parse(body) as Batch), ...change }), keys);

/** What a producer with a good key and bad intent would send: correctly signed, whatever the events are. */
const signedBatch = (events: readonly string[], epoch = 'epoch-1'): string => {
  const root = Buffer.from(merkleRoot(events.map(leafHash))).toString('hex');
  const signed = signRoot({ domain: 'agentgate-seal-v1', lines: [source, epoch], size: events.length, root, key });
  return JSON.stringify({ v: 1, source, epoch, ...signed, events });
};

describe('openBatch', () => {
  test('gives every event, its bytes untouched, with a seal and an entry that verify alone', () => {
    for (const size of [1, 2, 3, 64, 100]) {
      const batch = itemsOf(size);
      const opened = openBatch(Buffer.from(encodeBatch(batch, key)), keys);
      if (!opened.ok) throw new Error(opened.reason);
      expect(opened).toMatchObject({ source, epoch: 'epoch-1', keyid: key.keyid });
      expect(opened.entries.map(({ event, text }) => ({ event, text }))).toEqual(batch);
      const cache = createSealCache();
      for (const { event, text, seal } of opened.entries) {
        const lines = [event.source, event.producerepoch];
        expect(verifySeal({ domain: 'agentgate-seal-v1', lines, leaf: text, seal, keys })).toEqual({ ok: true });
        const entry = sealedText(text, seal);
        expect(verifyEntry(entry, { keys, cache })).toMatchObject({ ok: true, text });
        expect(encodeEntry(text, seal)).toEqual({ bytes: Buffer.from(entry), leafHash: leafHash(entry) });
      }
    }
  });

  test.each<[string, Partial<Record<keyof Batch | 'extra', unknown>>, string]>([
    ['another version', { v: 2 }, 'MALFORMED'],
    ['another source of the same service', { source: 'agentgate/ingress/b2' }, 'BAD_SIGNATURE'],
    ['a source of another service', { source: 'agentgate/policy/a1' }, 'UNKNOWN_KEY'],
    ['a source that is no text', { source: [source] }, 'MALFORMED'],
    ['another epoch', { epoch: 'epoch-2' }, 'BAD_SIGNATURE'],
    ['a newline in the epoch', { epoch: 'epoch-1\n' }, 'MALFORMED'],
    ['an unknown key', { keyid: '0'.repeat(16) }, 'UNKNOWN_KEY'],
    ['another size', { size: 4 }, 'MALFORMED'],
    ['another root', { root: 'a'.repeat(64) }, 'BAD_ROOT'],
    ['another signature', { sig: `${'A'.repeat(86)}==` }, 'BAD_SIGNATURE'],
    ['no signature', { sig: '' }, 'MALFORMED'],
    ['an event more', { events: [...items, items[0]].map((item) => item?.text), size: 6 }, 'BAD_ROOT'],
    ['an event less', { events: items.slice(1).map(({ text }) => text), size: 4 }, 'BAD_ROOT'],
    ['events in another order', { events: items.map(({ text }) => text).reverse() }, 'BAD_ROOT'],
    ['an event changed', { events: items.map(({ text }) => text.replace('demo', 'dema')) }, 'BAD_ROOT'],
    ['no events', { events: [], size: 0 }, 'MALFORMED'],
    ['too many events', { events: Array(513).fill('{}'), size: 513 }, 'MALFORMED'],
    ['events that are no text', { events: [1, 2, 3, 4, 5] }, 'MALFORMED'],
    ['an overlong event', { events: ['x'.repeat(60_001)], size: 1 }, 'MALFORMED'],
    ['a lone surrogate in an event', { events: ['\ud800'], size: 1 }, 'MALFORMED'],
    ['an unknown field', { extra: 1 }, 'MALFORMED'],
    ['a field less', { keyid: undefined }, 'MALFORMED'],
  ])('refuses a batch with %s', (_, change, code) => {
    expect(reopen(change)).toMatchObject({ ok: false, code });
  });

  test.each<[string, string | Uint8Array]>([
    ['nothing', ''],
    ['no JSON', '{'],
    ['null', 'null'],
    ['an array', '[]'],
    ['bytes that are no UTF-8', Buffer.from(body.replace('demo', 'dem\u00ff'), 'latin1')],
    ['more bytes than it takes', Buffer.from(body.padEnd(MAX_BATCH_BYTES + 1))],
  ])('refuses %s', (_, wrong) => {
    expect(openBatch(wrong, keys)).toMatchObject({ ok: false, code: 'MALFORMED' });
  });

  test.each<[string, string, string]>([
    ['is not canonical', JSON.stringify(items[1]?.event), 'the event is not in canonical form'],
    ['is not JSON', 'no', 'the event is not an object'],
    ['is of another epoch', itemsOf(1, 'epoch-2')[0]?.text ?? '', 'its epoch is not the one of the batch'],
    [
      'is of another source',
      createChain({ source: 'agentgate/policy/a1', epoch: 'epoch-1' }).next(draft(1)).text,
      'its source is not the one of the batch',
    ],
  ])('refuses a well-signed batch of which an event %s', (_, text, reason) => {
    const events = [items[0]?.text ?? '', text];
    expect(openBatch(signedBatch(events), keys)).toEqual({
      ok: false,
      code: 'MALFORMED',
      reason: `event 1 of the batch: ${reason}`,
    });
  });
});

describe('encodeBatch', () => {
  test('refuses no events, events of two epochs, and more than 512', () => {
    const malformed = expect.objectContaining({ code: 'MALFORMED' });
    expect(() => encodeBatch([], key)).toThrow(malformed);
    expect(() => encodeBatch([...items, ...itemsOf(1, 'epoch-2')], key)).toThrow(malformed);
    expect(() => encodeBatch(itemsOf(513), key)).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }));
  });

  test('takes as many as batchFit says, and refuses one more', () => {
    // Quotes double in the batch: the worst that JSON inside JSON does to a text of ordinary characters.
    const chain = createChain({ source, epoch: 'epoch-1' });
    const large = Array.from({ length: 20 }, (_, i) => chain.next(draft(i, { quotes: '"'.repeat(29_000) })));
    const fit = batchFit(large);
    expect(fit).toBeGreaterThan(3);
    expect(fit).toBeLessThan(20);
    expect(openBatch(encodeBatch(large.slice(0, fit), key), keys)).toMatchObject({ ok: true });
    expect(() => encodeBatch(large.slice(0, fit + 1), key)).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }));
  });

  test('fits 512 small events and the largest single one', () => {
    expect(batchFit(itemsOf(600))).toBe(512);
    expect(batchFit([])).toBe(0);
    const chain = createChain({ source, epoch: 'epoch-1' });
    const largest = chain.next(draft(1, { control: '\u0001'.repeat(9_900) }));
    expect(batchFit([largest])).toBe(1);
    expect(openBatch(encodeBatch([largest], key), keys)).toMatchObject({ ok: true });
  });
});

describe('verifyEntry', () => {
  const opened = openBatch(body, keys);
  if (!opened.ok) throw new Error(opened.reason);
  const { text, seal } = opened.entries[2] as { text: string; seal: object };
  const entry = sealedText(text, opened.entries[2]?.seal as never);

  test('refuses an entry in which a byte of the event changed', () => {
    expect(verifyEntry(entry, { keys })).toMatchObject({ ok: true });
    const forged = entry.replace('"agent":"demo"', '"agent":"dema"');
    expect(verifyEntry(forged, { keys })).toMatchObject({ ok: false, code: 'BAD_PATH' });
  });

  test.each([
    ['not canonical', JSON.stringify({ seal, event: JSON.parse(text) as unknown })],
    ['with a member more', `${entry.slice(0, -1)},"z":1}`],
    ['without a seal', `{"event":${text}}`],
    ['no JSON', 'no'],
    ['null', 'null'],
    ['too large', ' '.repeat(65_536)],
  ])('refuses an entry that is %s', (_, wrong) => {
    expect(verifyEntry(wrong, { keys })).toMatchObject({ ok: false, code: 'MALFORMED' });
  });

  test('refuses an event that claims another source than its key has', () => {
    const event = { ...(JSON.parse(text) as EvidenceEvent), source: 'agentgate/policy/a1' };
    const forged = entry.replace(`"source":"${source}"`, `"source":"${event.source}"`);
    expect(verifyEntry(forged, { keys })).toMatchObject({ ok: false });
  });
});

test('an entry of the largest event with the longest path stays within 65,535 bytes', () => {
  const chain = createChain({ source, epoch: 'epoch-1' });
  const empty = Buffer.byteLength(chain.next(draft(1, { pad: '' })).text);
  const item: ChainItem = createChain({ source, epoch: 'epoch-1' }).next(draft(1, { pad: 'x'.repeat(60_000 - empty) }));
  expect(Buffer.byteLength(item.text)).toBe(60_000);
  const path = Array<string>(16).fill(leafHash('').toString('base64'));
  const seal = {
    keyid: key.keyid,
    root: 'a'.repeat(64),
    index: 65_535,
    size: 65_536,
    path,
    sig: `${'A'.repeat(86)}==`,
  };
  expect(Buffer.byteLength(sealedText(item.text, seal))).toBeLessThanOrEqual(65_535);
  for (const encode of [sealedText, encodeEntry])
    expect(() => encode('x'.repeat(65_000), seal)).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }));
});

test('the bytes of an entry are its text in UTF-8, whatever its characters', () => {
  const opened = openBatch(encodeBatch(itemsOf(3), key), keys);
  if (!opened.ok) throw new Error(opened.reason);
  for (const text of ['{"a":"e"}', '{"a":"é"}', '{"a":"€🗝"}'])
    for (const { seal } of opened.entries) {
      const entry = sealedText(text, seal);
      expect(encodeEntry(text, seal)).toEqual({ bytes: Buffer.from(entry), leafHash: leafHash(entry) });
    }
});
