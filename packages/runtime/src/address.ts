import { BlockList, isIP } from 'node:net';

const network = (...subnets: (readonly [address: string, bits: number])[]): BlockList => {
  const list = new BlockList();
  for (const [address, bits] of subnets) list.addSubnet(address, bits, isIP(address) === 4 ? 'ipv4' : 'ipv6');
  return list;
};

/** Where clouds serve instances their credentials. */
const metadataAddresses = network(
  ['169.254.169.254', 32],
  ['169.254.170.2', 32],
  ['169.254.170.23', 32],
  ['100.100.100.200', 32],
  ['192.0.0.192', 32],
  ['168.63.129.16', 32],
  ['fd00:ec2::254', 128],
  ['fd20:ce::254', 128],
);

/** IANA's special-purpose address registries (RFC 6890), and what was deprecated before: none is on the public Internet. */
const notPublic = network(
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  ['::', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
  ['5f00::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
);

/** `metadata`: where clouds serve instances their credentials; `private`: any other that is not on the public Internet. */
export type AddressClass = 'public' | 'private' | 'metadata';

/** Of an IPv4 or IPv6 address without brackets; IPv4 inside IPv6 (`::ffff:a.b.c.d`) is judged as IPv4. */
export const classOfAddress = (address: string): AddressClass => {
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
  if (metadataAddresses.check(address, family)) return 'metadata';
  return notPublic.check(address, family) ? 'private' : 'public';
};
