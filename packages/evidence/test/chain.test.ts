import { describe, expect, test } from 'vitest';
import { type ChainHead, type ChainItem, checkLink, createChain, sha256Hex } from '../src/index.ts';
import { draft, itemsOf, source } from './sample.ts';

const check = (head: ChainHead | undefined, { event, text }: ChainItem) => checkLink(head, event, text);
const [first, second, third] = itemsOf(3) as [ChainItem, ChainItem, ChainItem];
const headOf = ({ event, text }: ChainItem): ChainHead => ({
  epoch: event.producerepoch,
  seq: event.producerseq,
  hash: sha256Hex(text),
});

describe('chain', () => {
  test('numbers events from 1 and links each to the text before it', () => {
    expect([first, second, third].map(({ event }) => event.producerseq)).toEqual([1, 2, 3]);
    expect(first.event).toMatchObject({ source, producerepoch: 'epoch-1', producerprev: '' });
    expect(second.event.producerprev).toBe(sha256Hex(first.text));
    expect(third.event.producerprev).toBe(sha256Hex(second.text));
  });

  test('does not move when it refuses an event', () => {
    const chain = createChain({ source, epoch: 'epoch-1' });
    chain.next(draft(1));
    for (const data of [{ n: Number.NaN }, { big: 'x'.repeat(60_000) }]) {
      expect(() => chain.next(draft(9, data))).toThrow();
    }
    expect(chain.next(draft(2))).toEqual(second);
  });

  test('keeps its own fields whatever a draft brings along', () => {
    const chain = createChain({ source, epoch: 'epoch-1' });
    const sly = { ...draft(1), source: 'agentgate/policy/a1', producerseq: 9, producerprev: 'x', specversion: '9' };
    expect(chain.next(sly)).toEqual(first);
  });
});

describe('checkLink', () => {
  test('follows a chain from its first event', () => {
    let head: ChainHead | undefined;
    for (const item of itemsOf(20)) {
      const verdict = check(head, item);
      expect(verdict).toEqual({ ok: true, head: headOf(item) });
      if (verdict.ok) head = verdict.head;
    }
  });

  test('takes a new epoch from its first event only', () => {
    const [start, next] = itemsOf(2, 'epoch-2') as [ChainItem, ChainItem];
    expect(check(headOf(third), start)).toEqual({ ok: true, head: headOf(start) });
    expect(check(headOf(third), next)).toEqual({
      ok: false,
      code: 'NEW_EPOCH_NOT_FIRST',
      reason: 'epoch epoch-2 begins with event 2, not with its first',
    });
    expect(check(undefined, second)).toMatchObject({ ok: false, code: 'NEW_EPOCH_NOT_FIRST' });
  });

  test('refuses a first event that names one before it', () => {
    const event = { ...first.event, producerprev: 'a'.repeat(64) };
    expect(checkLink(undefined, event, 'text')).toMatchObject({ ok: false, code: 'NEW_EPOCH_NOT_FIRST' });
  });

  test('refuses a hole', () => {
    expect(check(headOf(first), third)).toEqual({ ok: false, code: 'HOLE', reason: 'event 3 came after event 1' });
  });

  test('refuses an event that names another one before it', () => {
    const event = { ...second.event, producerprev: sha256Hex('another') };
    expect(checkLink(headOf(first), event, 'text')).toEqual({
      ok: false,
      code: 'WRONG_PREV',
      reason: 'event 2 does not name the event before it',
    });
  });

  test('tells a repeat of the last event from other bytes at its place', () => {
    expect(check(headOf(second), second)).toEqual({ ok: false, code: 'REPEAT', reason: 'event 2 came again' });
    expect(checkLink(headOf(second), second.event, 'other')).toEqual({
      ok: false,
      code: 'REPEAT_OTHER_BYTES',
      reason: 'event 2 came again and is not known to be the same',
    });
  });

  test('tells a repeat of an older event by the hash that was kept, and calls it other bytes without one', () => {
    const hashes = new Map([[1, sha256Hex(first.text)]]);
    const remembering = { ...headOf(third), hashAt: (seq: number) => hashes.get(seq) };
    expect(check(remembering, first)).toMatchObject({ ok: false, code: 'REPEAT' });
    expect(checkLink(remembering, first.event, 'other')).toMatchObject({ ok: false, code: 'REPEAT_OTHER_BYTES' });
    expect(check(remembering, second)).toMatchObject({ ok: false, code: 'REPEAT_OTHER_BYTES' });
    expect(check(headOf(third), first)).toMatchObject({ ok: false, code: 'REPEAT_OTHER_BYTES' });
  });
});
