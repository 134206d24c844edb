import { describe, expect, test } from 'vitest';
import { UnsafeCondition } from '../../src/conditions/verdict.ts';
import { createEgressScan } from '../../src/scan/egress.ts';

const scan = createEgressScan({ deny: ['evil.example', '*.tracker.example'], allow: ['*.corp.example', '127.0.0.9'] });
const hosts = (args: Record<string, unknown>) => scan(args, new Set(['asked.example']));
const classes = (url: string) => hosts({ url }).map((host) => host.class);

describe('classes', () => {
  test.each<[string, string]>([
    ['public', 'https://example.com/a?b=http'],
    ['public', 'https://8.8.8.8/'],
    ['private', 'http://10.1.2.3/'],
    ['private', 'http://172.31.0.1'],
    ['private', 'http://192.168.1.1:8080/x'],
    ['private', 'http://127.0.0.1'],
    ['private', 'http://127.1'],
    ['private', 'http://2130706433/'],
    ['private', 'http://0x7f000001/'],
    ['private', 'http://0177.0.0.1/'],
    ['private', 'http://0/'],
    ['private', 'http://[::1]/'],
    ['private', 'http://[::ffff:127.0.0.1]/'],
    ['private', 'http://[::ffff:7f00:1]/'],
    ['private', 'http://[64:ff9b::7f00:1]/'],
    ['private', 'http://[fd00::1]/'],
    ['private', 'http://[fe80::1]/'],
    ['private', 'http://localhost:3000/'],
    ['private', 'http://LOCALHOST./'],
    ['private', 'http://db.internal/'],
    ['private', 'http://intranet/'],
    ['private', 'http://10.0.0.1.nip.example/'],
    ['private', 'http://app-192-168-1-1.dns.example/'],
    ['private', 'http://１２７.0.0.1/'],
    ['metadata', 'http://169.254.169.254/latest/meta-data/'],
    ['metadata', 'http://2852039166/'],
    ['metadata', 'http://0xA9FEA9FE/'],
    ['metadata', 'http://[::ffff:a9fe:a9fe]/'],
    ['metadata', 'http://[fd00:ec2::254]/'],
    ['metadata', 'http://metadata.google.internal/computeMetadata/v1/'],
    ['metadata', 'http://100.100.100.200'],
    ['metadata', 'http://169.254.169.254.nip.example/'],
    ['unclear', 'http://example.com@10.0.0.1/'],
    ['unclear', 'http://10.0.0.1\\@example.com/'],
    ['unclear', 'http://example.com%2f@10.0.0.1/'],
    ['unclear', 'http:\\\\10.0.0.1\\x'],
    ['unclear', 'http://exa%6dple.com/'],
    ['private', '//10.0.0.1/x'],
    ['private', '10.0.0.1:80/x'],
    ['public', 'example.com/path'],
  ])('%s: %s', (kind, url) => expect(classes(url)).toEqual([kind]));
});

describe('where hosts are found', () => {
  test.each<[string, Record<string, unknown>, string[]]>([
    ['in a text', { body: 'see https://a.example/x, and www.b.example.' }, ['a.example', 'www.b.example']],
    ['in nested arguments', { a: [{ link: 'https://a.example' }] }, ['a.example']],
    ['in a key', { 'https://a.example/': 1 }, ['a.example']],
    [
      'as a whole argument under a name for one',
      { webhook_url: 'a.example', host: 'b.example:80' },
      ['a.example', 'b.example'],
    ],
    ['behind the @ of an address', { to: 'Ann <ann@a.example>' }, ['a.example']],
    ['not in plain words', { body: 'version 1.2.3 of a.txt', host_notes: 'the host is fine' }, []],
    ['not in a path', { url: '/v1/users', link: './a.txt' }, []],
    ['not in a sentence under such a name', { link: 'ask Bob for it' }, []],
  ])('%s', (_, args, wanted) => expect(hosts(args).map(({ host }) => host)).toEqual(wanted));
  test('with invisible characters taken out', () =>
    expect(hosts({ body: 'http://10.0\u200b.0.1/' })).toMatchObject([{ host: '10.0.0.1', class: 'private' }]));
  test('an address is told apart from a link', () =>
    expect(hosts({ to: 'a@b.example', url: 'https://b.example' }).map(({ mail }) => mail)).toEqual([true, false]));
});

describe('lists and purpose', () => {
  test.each([
    ['https://evil.example/x', 'denied'],
    ['https://EVIL.example./x', 'denied'],
    ['https://a.tracker.example', 'denied'],
    ['https://tracker.example', 'unlisted'],
    ['https://x.corp.example', 'allowed'],
    ['http://127.0.0.9/', 'allowed'],
    ['https://notevil.example', 'unlisted'],
  ])('%s is %s', (url, list) => expect(hosts({ url })).toMatchObject([{ list }]));
  test('a host that the purpose names is told', () =>
    expect(hosts({ a: 'https://www.asked.example/x', b: 'https://other.example' })).toMatchObject([
      { in_purpose: true },
      { in_purpose: false },
    ]));
  test.each(['http://a.example', 'a.*.example', 'a.example:80'])(
    'a pattern that cannot be enforced is refused: %s',
    (bad) => expect(() => createEgressScan({ deny: [bad] })).toThrow(UnsafeCondition),
  );
});

test('more hosts than are looked at end in one that nobody may go to', () => {
  const body = Array.from({ length: 80 }, (_, i) => `https://h${i}.example/`).join(' ');
  const found = hosts({ body });
  expect(found).toHaveLength(65);
  expect(found.at(-1)).toMatchObject({ host: '(more)', class: 'unclear' });
});

test.each([
  "https://a.corp.example'@evil.example.net/x",
  'https://a.corp.example`@evil.example.net/x',
  'https:/\t/evil.example.net/x',
  'http:\t//169.254.169.254/',
  'http:/169.254.169.254/latest',
  'http:169.254.169.254/latest',
  '\u0001http:/169.254.169.254/',
])('what programs read differently is unclear under any name: %j', (url) => {
  for (const args of [{ url }, { src: url }]) expect(hosts(args)).toMatchObject([{ class: 'unclear' }]);
});

test('a host that only looks like an allowed one is not allowed', () => {
  expect(hosts({ url: 'https://a.c\u043erp.example/' })).toMatchObject([{ list: 'unlisted', in_purpose: false }]);
  expect(hosts({ url: 'https://a.corp.example/' })).toMatchObject([{ list: 'allowed' }]);
});

test('links in what is only kept hide no destination', () => {
  const description = Array.from({ length: 70 }, (_, i) => `https://h${i}.example.org/`).join(' ');
  const found = scan(
    { description, url: 'http://169.254.169.254/' },
    new Set(),
    (pointer) => pointer !== '/description',
  );
  expect(found).toMatchObject([{ pointer: '/url', class: 'metadata' }]);
});
