import { expect, test } from 'vitest';
import { classOfAddress } from '../src/index.ts';

test.each([
  ['public', ['8.8.8.8', '1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1', '::ffff:8.8.8.8']],
  ['private', ['127.0.0.1', '127.255.255.254', '10.0.0.1', '172.31.255.255', '192.168.0.1', '0.0.0.0', '100.64.0.1']],
  ['private', ['169.254.0.1', '198.18.0.1', '224.0.0.1', '255.255.255.255', '::', '::1', '::ffff:10.0.0.1']],
  [
    'private',
    ['::127.0.0.1', '64:ff9b::a00:1', '2002:7f00:1::', 'fe80::1', 'fec0::1', 'fc00::1', 'ff02::1', '3fff::1'],
  ],
  ['metadata', ['169.254.169.254', '::ffff:169.254.169.254', 'fd00:ec2::254', '100.100.100.200', '168.63.129.16']],
] as const)('%s: %j', (kind, addresses) => {
  for (const address of addresses) expect(classOfAddress(address), address).toBe(kind);
});
