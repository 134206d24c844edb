import { readFileSync, writeFileSync } from 'node:fs';
import { killStream } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isOlder, requireServer, requireStream } from '../src/index.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await startGround({ redis: false });
});
afterAll(() => ground?.stop());

test('takes the ground that the provisioner laid', async () => {
  const bus = await ground.connect('kill-switch');
  await requireServer(bus);
  await requireStream(bus, killStream);
});

test('refuses a stream that differs, naming the difference', async () => {
  const bus = await ground.connect('kill-switch', { instance: 'k-2' });
  await expect(requireStream(bus, { ...killStream, deny_purge: false })).rejects.toThrow(
    'stream KILL: deny_purge is true, not false',
  );
});

test('refuses a server that acknowledges before it has fsynced', async () => {
  const conf = ground.deployment.natsConf;
  const before = readFileSync(conf, 'utf8');
  await ground.nats.stop();
  writeFileSync(conf, before.replace(/sync_interval:\s*always/, 'sync_interval: 2m'));
  await ground.nats.start();
  const bus = await ground.connect('kill-switch', { instance: 'k-3' });
  await expect(requireServer(bus)).rejects.toThrow('acknowledges before it has fsynced');
});

test('knows which version is older', () => {
  expect(isOlder('2.14.3', '2.14.4')).toBe(true);
  expect(isOlder('2.9.10', '2.14.4')).toBe(true);
  expect(isOlder('2.14.4', '2.14.4')).toBe(false);
  expect(isOlder('2.15.0-RC.1', '2.14.4')).toBe(false);
});
