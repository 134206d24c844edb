import { BlockList, isIP } from 'node:net';
import { fails, holds, UnsafeCondition, unclear, type Verdict } from './verdict.ts';

// A host is what the WHATWG URL parser makes of it (IDNA, numeric IPv4 forms, IPv6). Spellings that other parsers read
// differently (user info, backslashes, escapes, white space, missing slashes) are not judged at all.

const maxLength = 2048;
const url = /^(?:https?|wss?|ftp):\/\/([^/?#\\@%\s]+)(?:[/?#]|$)/i;
const hostAndPort = /^(?:\[[0-9a-f:.]+\]|[^/?#\\@%\s:[\]]+)(?::\d{1,5})?$/i;
const bareIpv6 = /^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i;

/** The host of a URL, of `host:port` or of a host alone: lowercase ASCII without brackets and trailing dot. */
export const hostOf = (text: string): { host: string } | { fault: string } => {
  if (text.length > maxLength) return { fault: `it is longer than ${maxLength} characters` };
  if (/[\p{Cc}\p{Cf}\p{Z}\\]/u.test(text))
    return { fault: 'it holds white space, a backslash or an invisible character' };
  const authority = text.includes('://') ? url.exec(text)?.[1] : bareIpv6.test(text) ? `[${text}]` : text;
  if (authority === undefined || !hostAndPort.test(authority)) return { fault: 'it is neither a plain URL nor a host' };
  // The scheme stands for any that has a host; a port is not part of what is judged.
  const parsed = URL.parse(`http://${authority}`);
  if (!parsed) return { fault: 'it is not a host' };
  const host = parsed.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  if (host === '' || host.split('.').includes('')) return { fault: 'it is not a host' };
  return { host };
};

const judgeHost = (value: unknown, judge: (host: string) => Verdict): Verdict => {
  if (typeof value !== 'string') return unclear('it is not a string');
  const found = hostOf(value);
  return 'fault' in found ? unclear(found.fault) : judge(found.host);
};

/** `host_in`: one of these hosts, or below `*.` of one. */
export const prepareHostIn = (patterns: readonly string[]): ((value: unknown) => Verdict) => {
  const exact = new Set<string>();
  const suffixes: string[] = [];
  for (const pattern of patterns) {
    const wild = pattern.startsWith('*.');
    const name = wild ? pattern.slice(2) : pattern;
    const found =
      name.includes('*') || name.includes('://')
        ? { fault: 'only "*." at its start may stand for more' }
        : hostOf(name);
    if ('fault' in found) throw new UnsafeCondition(`${JSON.stringify(pattern)} cannot be a host: ${found.fault}`);
    if (/:\d+$/.test(name) && !bareIpv6.test(name))
      throw new UnsafeCondition(`${JSON.stringify(pattern)} names a port: leave it out`);
    if (wild && isIP(found.host) !== 0)
      throw new UnsafeCondition(`${JSON.stringify(pattern)}: an address has nothing below it`);
    if (wild) suffixes.push(`.${found.host}`);
    else exact.add(found.host);
  }
  return (value) =>
    judgeHost(value, (host) =>
      exact.has(host) || suffixes.some((suffix) => host.endsWith(suffix))
        ? holds
        : fails('its host is not in the list'),
    );
};

const family = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 4 ? 'ipv4' : 'ipv6');

/** `cidr_in`: an address, alone or as the host of a URL, in one of these networks. A name is not judged: it may resolve to anything. */
export const prepareCidrIn = (networks: readonly string[]): ((value: unknown) => Verdict) => {
  const list = new BlockList();
  for (const network of networks) {
    const [, address = '', bits] = /^([0-9a-f:.]+)(?:\/(\d{1,3}))?$/i.exec(network) ?? [];
    const width = isIP(address) === 4 ? 32 : 128;
    const length = bits === undefined ? width : Number(bits);
    if (isIP(address) === 0 || length > width)
      throw new UnsafeCondition(`${JSON.stringify(network)} is not a network such as 10.0.0.0/8`);
    if (isIP(address) === 6 && /^::ffff:/i.test(address))
      throw new UnsafeCondition(`${JSON.stringify(network)}: write it as IPv4`);
    list.addSubnet(address, length, family(address));
  }
  return (value) =>
    judgeHost(value, (host) => {
      if (isIP(host) === 0) return unclear('its host is a name, not an address');
      // An IPv4 address inside IPv6 (`::ffff:a.b.c.d`) reaches the same machine; the list judges it as IPv4.
      return list.check(host, family(host)) ? holds : fails('its address is outside');
    });
};
