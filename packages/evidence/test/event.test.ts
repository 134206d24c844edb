import { describe, expect, test } from 'vitest';
import { createChain, type EvidenceEvent, eventText, MAX_EVENT_BYTES, readEvent } from '../src/index.ts';
import { draft, itemsOf, source } from './sample.ts';

const [{ event, text }] = itemsOf(1) as [{ event: EvidenceEvent; text: string }];
const changed = (change: object): EvidenceEvent => ({ ...event, ...change }) as EvidenceEvent;

describe('readEvent', () => {
  test('takes what eventText made', () => {
    expect(text.startsWith('{"agent":"demo","data":{"arguments":{"path":"/srv/é.txt"}')).toBe(true);
    expect(readEvent(text)).toEqual({ ok: true, event });
  });

  test.each([
    ['members in another order', JSON.stringify(event)],
    ['a space', text.replace('{', '{ ')],
    ['a member twice', text.replace('{"agent":"demo"', '{"agent":"admin","agent":"demo"')],
    ['an escape that is not needed', text.replace('é', '\\u00e9')],
    ['a number in another spelling', text.replace('"producerseq":1', '"producerseq":1.0')],
    ['a lone surrogate', text.replace('é', '\\ud800')],
    ['a newline at its end', `${text}\n`],
  ])('refuses a text with %s', (_, spelling) => {
    expect(readEvent(spelling)).toEqual({ ok: false, code: 'MALFORMED', reason: 'the event is not in canonical form' });
  });

  test.each(['', 'null', '[]', '"event"', '{', '{}', '['.repeat(50_000)])('refuses %.20s', (wrong) => {
    expect(readEvent(wrong)).toMatchObject({ ok: false, code: 'MALFORMED' });
  });

  test('refuses data that nests without end', () => {
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    expect(readEvent(text.replace('"/srv/é.txt"', deep))).toMatchObject({ ok: false, code: 'MALFORMED' });
  });

  test('refuses a text of more than 60,000 bytes', () => {
    expect(readEvent(text.replace('é', 'é'.repeat(30_000)))).toEqual({
      ok: false,
      code: 'MALFORMED',
      reason: `the event is larger than ${MAX_EVENT_BYTES} bytes`,
    });
  });
});

describe('eventText', () => {
  test.each<[string, object]>([
    ['specversion', { specversion: '1.1' }],
    ['id', { id: '' }],
    ['source', { source: 'a\nb' }],
    ['type', { type: 'agentgate.*' }],
    ['type', { type: 'agentgate..v1' }],
    ['subject', { subject: 7 }],
    ['time', { time: 'now' }],
    ['datacontenttype', { datacontenttype: 'text/plain' }],
    ['tenant', { tenant: '>' }],
    ['tenant', { tenant: 'a.b' }],
    ['agent', { agent: '*' }],
    ['session', { session: '' }],
    ['data', { data: [] }],
    ['producerepoch', { producerepoch: '' }],
    ['producerseq', { producerseq: 0 }],
    ['producerseq', { producerseq: 2 ** 53 }],
    ['producerprev', { producerprev: 'A'.repeat(64) }],
    ['extra', { extra: 1 }],
    ['toString', { toString: 'x' }],
  ])('refuses a wrong %s, naming it', (field, change) => {
    const malformed = expect.objectContaining({ code: 'MALFORMED', message: expect.stringContaining(field) });
    expect(() => eventText(changed(change))).toThrow(malformed);
  });

  test('refuses what is not JSON and what is too large', () => {
    expect(() => eventText(changed({ data: { a: undefined } }))).toThrow(
      expect.objectContaining({ code: 'NOT_CANONICAL', message: '/data/a is undefined' }),
    );
    expect(() => eventText(changed({ data: { a: 'x'.repeat(MAX_EVENT_BYTES) } }))).toThrow(
      expect.objectContaining({ code: 'TOO_LARGE' }),
    );
  });

  test('takes an event that concerns no tenant, agent or session', () => {
    const { tenant: _, agent: _a, session: _s, ...global } = draft(1);
    const made = createChain({ source, epoch: 'e' }).next(global);
    expect(readEvent(made.text)).toEqual({ ok: true, event: made.event });
    expect(made.event).not.toHaveProperty('tenant');
  });
});
