import { describe, expect, test } from 'vitest';
import { prepareCidrIn, prepareHostIn } from '../../src/conditions/host.ts';
import { UnsafeCondition } from '../../src/conditions/verdict.ts';

describe('host_in', () => {
  const host = prepareHostIn(['example.com', '*.corp.example', '[::1]', '10.0.0.1', 'bücher.example']);

  test.each([
    'example.com',
    'EXAMPLE.com',
    'example.com.',
    'example.com:8443',
    'https://example.com',
    'https://Example.COM:8443/path?q=1#f',
    'wss://example.com/',
    'https://a.corp.example/x',
    'a.b.corp.example',
    'http://[::1]:80/',
    '::1',
    '0:0:0:0:0:0:0:1',
    'http://0x0a000001/',
    'http://10.1/',
    'xn--bcher-kva.example',
    'https://bücher.example/',
    'https://example.com/a@b',
    'https://example.com/https://evil.test',
  ])('holds for %s', (value) => {
    expect(host(value)).toEqual({ state: 'holds' });
  });

  test.each([
    'evil.test',
    'https://evil.test/example.com',
    'example.com.evil.test',
    'notexample.com',
    'corp.example',
    'evilcorp.example',
    'https://evil.test?example.com',
    'https://evil.test#example.com',
    '10.0.0.2',
  ])('fails for %s', (value) => {
    expect(host(value)).toEqual({ state: 'fails', why: 'its host is not in the list' });
  });

  test.each([
    'https://example.com@evil.test/',
    'https://example.com:x@evil.test/',
    'https://user@example.com/',
    'https:/example.com',
    'https:example.com',
    'https:///example.com',
    'https:\\\\example.com',
    'https://evil.test\\@example.com',
    'https://example.com%2eevil.test',
    'https://exam\tple.com',
    ' https://example.com',
    'https://example.com\n.evil.test',
    'javascript://example.com/%0aalert(1)',
    'file://example.com/etc',
    'postgres://example.com/db',
    '//example.com',
    'example.com/path',
    'example.com..',
    'example..com',
    'https://example.com:99999/',
    'example.com:port',
    'exam\u200Bple.com',
    '',
    '.',
    5,
    ['example.com'],
    null,
  ])('is unclear for %j', (value) => {
    expect(host(value).state).toBe('unclear');
  });

  test.each([
    '*',
    '*.*',
    'a.*.b',
    '*example.com',
    'https://example.com',
    'example.com:443',
    'a b',
    'user@host',
    '*.10.0.0.1',
    'exa..mple',
  ])('refuses the pattern %j', (pattern) => {
    expect(() => prepareHostIn([pattern])).toThrow(UnsafeCondition);
  });
});

describe('cidr_in', () => {
  const cidr = prepareCidrIn(['10.0.0.0/8', '192.168.1.1', 'fd00::/8']);

  test.each([
    '10.1.2.3',
    'http://10.1.2.3:80/x',
    '192.168.1.1',
    'fd00::1',
    '[fd12::5]:443',
    '::ffff:10.0.0.1',
    'http://0xa.1/',
    '10.0.0.1:22',
  ])('holds for %s', (value) => {
    expect(cidr(value)).toEqual({ state: 'holds' });
  });
  test.each(['11.0.0.1', '192.168.1.2', 'fe80::1', '::ffff:11.0.0.1', '::10.0.0.1'])('fails for %s', (value) => {
    expect(cidr(value)).toEqual({ state: 'fails', why: 'its address is outside' });
  });
  test.each(['example.com', 'fe80::1%eth0', '10.0.0.0/8', '10.0.0.256', 10, null])('is unclear for %j', (value) => {
    expect(cidr(value).state).toBe('unclear');
  });
  test.each(['10.0.0.0/33', 'fd00::/129', 'example.com', '10.0.0.0/-1', '10.0.0/8', '::ffff:10.0.0.0/104', ''])(
    'refuses the network %j',
    (network) => {
      expect(() => prepareCidrIn([network])).toThrow(UnsafeCondition);
    },
  );
});
