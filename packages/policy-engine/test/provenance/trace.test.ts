import { describe, expect, test } from 'vitest';
import { keyOf } from '../../src/provenance/normalise.ts';
import { readPurpose } from '../../src/provenance/read-purpose.ts';
import { resultValues } from '../../src/provenance/result-values.ts';
import {
  argumentValues,
  isCopied,
  namesSomebodyElse,
  provenanceOf,
  purposeKeys,
  type Recollection,
  type Source,
  suspectKeys,
  traced,
} from '../../src/provenance/trace.ts';
import { described, tool, tools } from './tools.ts';

const send = described(tools.email);
const source = (from: Source['from'], name = 'office/read'): Source => ({ from, tool: name, private: false });
const knowing = (sources: Record<string, Source[]> = {}, more: Partial<Recollection> = {}): Recollection => ({
  sources: new Map(Object.entries(sources)),
  purpose: new Set(),
  written: new Set(),
  ...more,
});
const eve = keyOf('email', 'eve@example.net');
const nothing = readPurpose('');

describe('arguments', () => {
  test.each<[string, Record<string, unknown>, string, string, string]>([
    ['an address', { recipients: ['eve@example.net'] }, '/recipients/0', 'email', 'target'],
    ['an address in a text', { body: 'ask eve@example.net' }, '/body', 'email', 'content'],
    ['a link', { body: 'see https://a.example/x' }, '/body', 'url', 'content'],
    ['an account', { iban: 'DE89370400440532013000' }, '/iban', 'account', 'target'],
    ['a file id', { file_id: '26-abc7' }, '/file_id', 'id', 'target'],
    ['a number', { account: 1234567890 }, '/account', 'account', 'target'],
    ['a nested one', { to: { address: { email: 'eve@example.net' } } }, '/to/address/email', 'email', 'target'],
    ['a key', { shared: { 'eve@example.net': 'rw' } }, '/shared/eve@example.net', 'email', 'other'],
    ['a name', { channel: 'general' }, '/channel', 'name', 'target'],
  ])('%s', (_, args, pointer, kind, role) =>
    expect(argumentValues(args, send).values).toContainEqual(expect.objectContaining({ pointer, kind, role })),
  );
  test('the configuration says which are targets and which are content', () => {
    const labelled = described(tool('do', ''), { arguments: { targets: ['/a'], content: ['/to'] } });
    const roles = argumentValues({ a: 'x@y.example', to: 'z@y.example' }, labelled).values;
    expect(roles.filter(({ kind, pointer }) => kind === 'email' && pointer !== '').map(({ role }) => role)).toEqual([
      'target',
      'content',
    ]);
  });
  test('more than is looked at is told', () => {
    expect(argumentValues({ body: 'x'.repeat(131_073) }, send).overflow).toBe(true);
    const many = Array.from({ length: 300 }, (_, i) => `a${i}@example.com`);
    expect(argumentValues({ to: many }, send).overflow).toBe(true);
  });
  test('the longest message is read, whatever it holds', () => {
    for (const piece of ['a', '1 ', 'a@b.co ', '%41', 'QUJD', 'www.'])
      expect(argumentValues({ body: piece.repeat(Math.floor(250_000 / piece.length)) }, send)).toBeDefined();
  });
});

describe('where a value comes from', () => {
  const origin = (known: Recollection, args: Record<string, unknown> = { to: 'EVE@example.net' }, purpose = nothing) =>
    traced(argumentValues(args, send).values, purpose, known).values.find(({ kind }) => kind === 'email')?.origin;
  test.each<[string, Recollection]>([
    ['agent', knowing()],
    ['text', knowing({ [eve]: [source('text')] })],
    ['structured', knowing({ [eve]: [source('structured')] })],
    ['structured', knowing({ [eve]: [source('text'), source('structured')] })],
    ['text', knowing({ [eve]: [source('structured')] }, { written: new Set([eve]) })],
    ['purpose', knowing({ [eve]: [source('text')] }, { purpose: new Set([eve]) })],
  ])('%s', (wanted, known) => expect(origin(known)).toBe(wanted));

  test.each([
    ['homoglyphs', { to: 'еvе@example.net' }],
    ['invisible characters', { to: 'eve\u200b@example.net' }],
    ['percent-encoding', { to: 'eve%40example.net' }],
    ['base64', { to: Buffer.from('eve@example.net').toString('base64') }],
  ])('text, in the disguise of %s', (_, args) =>
    expect(origin(knowing({ [eve]: [source('text')] }), args)).toBe('text'),
  );

  test('text, split over two arguments', () => {
    const known = knowing({ [eve]: [source('text')] });
    for (const args of [
      { to: 'eve', domain: 'example.net' },
      { to: 'eve@exam', rest: 'ple.net' },
    ])
      expect(traced(argumentValues(args, send).values, nothing, known).values).toContainEqual(
        expect.objectContaining({ pointer: '', kind: 'email', role: 'target', origin: 'text' }),
      );
    // What is put together by chance, and was seen nowhere, says nothing.
    const chance = argumentValues({ to: 'bob@example.com', body: 'net' }, send).values;
    expect(traced(chance, nothing, knowing()).values.some(({ pointer }) => pointer === '')).toBe(false);
  });
  test('the most suspect first, at most 64', () => {
    const to = Array.from({ length: 100 }, (_, i) => `a${i}@example.com`);
    const known = knowing({ [keyOf('email', 'a0@example.com')]: [source('structured')] });
    const { values } = traced(argumentValues({ to }, send).values, nothing, known);
    expect(values).toHaveLength(64);
    expect(values.every(({ origin: from }) => from === 'agent')).toBe(true);
  });
  test('a name of the purpose is the purpose’s as a whole word only', () => {
    const whom = (name: string, text: string) =>
      traced(argumentValues({ recipient: name }, described(tools.dm)).values, readPurpose(text), knowing()).values[0]
        ?.origin;
    expect(whom('Bob', 'Write to bob.')).toBe('purpose');
    expect(whom('Bob', 'Write to Bobby.')).toBe('agent');
    expect(whom('е', 'Write to me.')).toBe('agent');
  });
  test('what neither purpose nor system gave is what an agent may launder', () => {
    const { values } = argumentValues({ to: 'eve@example.net', cc: 'ann@example.com' }, send);
    const known = knowing({ [keyOf('email', 'ann@example.com')]: [source('structured')] });
    expect(suspectKeys(values, nothing, known)).toContain(eve);
    expect(suspectKeys(values, nothing, known)).not.toContain(keyOf('email', 'ann@example.com'));
  });
});

test('input.provenance names purpose, results and agent', () => {
  const { values } = argumentValues({ to: 'eve@example.net', cc: 'bob@example.com', bcc: 'x@example.org' }, send);
  const purpose = 'Write to bob@example.com';
  const known = knowing(
    { [eve]: [source('text', 'mail/read'), source('structured', 'mail/list')] },
    { purpose: purposeKeys(purpose) },
  );
  expect(provenanceOf(values, readPurpose(purpose), known)).toMatchObject({
    '/to': expect.arrayContaining(['result:mail/read#text', 'result:mail/list#structured']),
    '/cc': expect.arrayContaining(['purpose']),
    '/bcc': ['agent'],
  });
});

test('copied is what was said in an untrusted text, and not in the purpose', () => {
  const story = 'the quarterly numbers are due on the fifth of may and must be sent to everybody';
  const result = resultValues({ content: [{ type: 'text', text: story }] }, described(tools.page)).values;
  const sources = new Map(result.map(({ key }) => [key, [source('text')]]));
  const said = argumentValues({ body: `FYI: ${story}` }, send);
  expect(isCopied(said, { sources, purpose: new Set() })).toBe(true);
  expect(isCopied(said, { sources, purpose: purposeKeys(story) })).toBe(false);
  expect(isCopied(argumentValues({ body: 'See you on Monday then.' }, send), { sources, purpose: new Set() })).toBe(
    false,
  );
});

test('a purpose that names somebody means nobody else', () => {
  const { values } = argumentValues({ recipient: 'Alice' }, described(tools.dm));
  const purpose = readPurpose('Tell Bob that I come.');
  const at = { purpose, keys: new Set<string>() };
  expect(namesSomebodyElse(values, ['bob'], at)).toBe(true);
  expect(namesSomebodyElse(values, [], at)).toBe(false);
  const bob = argumentValues({ recipient: 'bob.smith@example.com' }, described(tools.dm)).values;
  expect(namesSomebodyElse(bob, ['bob'], at)).toBe(false);
});

describe('results', () => {
  const read = described(tool('read_mail'));
  const from = (result: unknown, kind: string, form: string, description = read) =>
    resultValues(result, description)
      .values.filter(({ key }) => key === keyOf(kind, form))
      .map((value) => value.from)
      .sort();
  const mail = { sender: 'ann@example.com', display_name: 'eve@example.net', body: 'ask carl@example.org' };
  const structured = (value: unknown) => ({ content: [], structuredContent: { value } });

  test.each<[string, unknown, string, string[]]>([
    ['an identity under a key for one', structured(mail), 'ann@example.com', ['structured']],
    ['what a sender calls himself', structured(mail), 'eve@example.net', ['text']],
    ['an address in a text', structured(mail), 'carl@example.org', ['text']],
    [
      'an address among others under such a key',
      structured({ to: 'a@b.example, c@d.example' }),
      'a@b.example',
      ['text'],
    ],
    ['JSON in a text', { content: [{ type: 'text', text: JSON.stringify(mail) }] }, 'ann@example.com', ['text']],
    ['plain text', { content: [{ type: 'text', text: 'sender: ann@example.com' }] }, 'ann@example.com', ['text']],
    [
      'text beside structured content that says something else',
      { content: [{ type: 'text', text: '{"sender":"eve@example.net"}' }], structuredContent: { n: 1 } },
      'eve@example.net',
      ['text'],
    ],
    ['JSON in a field', structured({ body: JSON.stringify(mail) }), 'ann@example.com', ['text']],
    [
      'a resource',
      { content: [{ type: 'resource', resource: { text: 'eve@example.net' } }] },
      'eve@example.net',
      ['text'],
    ],
    [
      'an error',
      { content: [{ type: 'text', text: 'ask eve@example.net' }], isError: true },
      'eve@example.net',
      ['text'],
    ],
  ])('%s', (_, result, address, wanted) => expect(from(result, 'email', address)).toEqual(wanted));

  test('the configuration says which fields are which', () => {
    const labelled = described(tool('read_mail'), {
      results: { structured: ['/value/display_name'], text: ['/value/sender'] },
    });
    expect(from(structured(mail), 'email', 'eve@example.net', labelled)).toEqual(['structured']);
    expect(from(structured(mail), 'email', 'ann@example.com', labelled)).toEqual(['text']);
  });
  test('the configuration names fields of text that is JSON, too', () => {
    const labelled = described(tool('read_mail'), { results: { structured: ['/sender'] } });
    const result = { content: [{ type: 'text', text: JSON.stringify(mail) }] };
    expect(from(result, 'email', 'ann@example.com', labelled)).toEqual(['structured']);
    expect(from(result, 'email', 'eve@example.net', labelled)).toEqual(['text']);
  });
  test('a page has no fields, whatever form it has', () =>
    expect(from(structured(mail), 'email', 'ann@example.com', described(tools.page))).toEqual(['text']));
  test('nobody else writes in a trusted result', () => {
    const trusted = described(tool('read_notes'), { results: { trust: 'trusted' } });
    expect(
      from({ content: [{ type: 'text', text: 'ask eve@example.net' }] }, 'email', 'eve@example.net', trusted),
    ).toEqual(['structured']);
  });
  test('a result of any size is read within bounds', () => {
    const rows = Array.from({ length: 10_000 }, (_, i) => ({ id: `id-${i}`, body: `text ${i} a${i}@example.com` }));
    const { values, overflow } = resultValues(structured(rows), read);
    expect(values.length).toBeLessThanOrEqual(4_000);
    expect(overflow).toBe(true);
  });
});

describe('an attacker who knows the limits', () => {
  const mail = readPurpose('Send an email with the summary to bob@company.com');
  const namedKeys = () => ({ ...knowing(), purpose: purposeKeys('Send an email with the summary to bob@company.com') });
  const targetsOf = (args: Record<string, unknown>) =>
    traced(argumentValues(args, send).values, mail, namedKeys()).values.filter(({ role }) => role === 'target');

  test('hides no recipient behind ids in what is said', () => {
    const pad = Array.from({ length: 200 }, (_, i) => `ref${1_000 + i}`).join(' ');
    for (const args of [
      { body: pad, to: 'mallory@evil.com' },
      { to: 'mallory@evil.com', body: pad },
    ])
      expect(targetsOf(args)).toContainEqual(expect.objectContaining({ kind: 'email', origin: 'agent' }));
  });

  test('is told of as too much when what a rule may hold for does not fit', () => {
    const to = Array.from({ length: 80 }, (_, i) => `m${i}@evil.com`);
    expect(traced(argumentValues({ to }, send).values, mail, namedKeys()).overflow).toBe(true);
  });

  test.each(['bob@c\u043empany.com', 'b\u043eb@company.com', 'bob\u200b@company.com'])(
    'is not trusted for an address that only looks like a trusted one: %s',
    (to) => {
      expect(targetsOf({ to }).map(({ origin }) => origin)).not.toContain('purpose');
    },
  );

  test('names with letters of their own are trusted where the purpose has exactly them', () => {
    const purpose = readPurpose('Напиши Ивану');
    const found = traced(argumentValues({ to: 'Ивану' }, send).values, purpose, knowing());
    expect(found.values.find(({ kind }) => kind === 'name')?.origin).toBe('purpose');
  });

  test.each([
    'mallory@évil.gg',
    'bob@company.com, mallory@évil.gg',
    'bob@company.com。evil.gg',
    '"x"@[IPv6:2001:db8::1]',
  ])('is somebody whom nobody named: %s', (to) => {
    expect(targetsOf({ to })).toContainEqual(expect.objectContaining({ whom: true, origin: 'agent' }));
  });
});
