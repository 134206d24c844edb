import { existsSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { type Ground, startGround } from '../src/index.ts';

let ground: Ground | undefined;
afterEach(() => ground?.stop());
const alive = (pid: number | undefined) => {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('leaves no process and no folder behind, when it is stopped', async () => {
  ground = await startGround();
  const pids = [ground.nats.pid, ground.redis.pid];
  expect(pids.map(alive)).toEqual([true, true]);
  await ground.stop();
  expect(pids.map(alive)).toEqual([false, false]);
  expect(existsSync(ground.dir)).toBe(false);
});

test('tells the bus of a NATS that went away and of one that came again', async () => {
  ground = await startGround({ redis: false });
  const bus = await ground.connect('ingress');
  const states: string[] = [];
  const reconnected = new Promise<void>((resolve) =>
    bus.onState((state) => {
      states.push(state);
      if (state === 'connected') resolve();
    }),
  );
  await ground.nats.stop();
  await ground.nats.start();
  await reconnected;
  expect(states).toEqual(['disconnected', 'connected']);
});

test('gives each tenant its account, and each service its key in the trust', async () => {
  ground = await startGround({ tenants: { default: ['demo'], acme: ['bot'] }, redis: false });
  expect(ground.accountId('default')).not.toBe(ground.accountId('acme'));
  const key = ground.key('policy');
  expect(ground.trust.find(key.keyid, 'policy')?.publicKey).toBe(key.publicKey);
  expect(ground.trust.find(key.keyid, 'ingress')).toBeUndefined();
  const said = Buffer.from('said');
  expect(ground.trust.keysOf('policy').some((k) => k.verify(said, key.sign(said)))).toBe(true);
  expect(ground.trust.keysOf('ingress').some((k) => k.verify(said, key.sign(said)))).toBe(false);
  expect((await ground.connect('acme.agent-bot')).user).toBe('bot');
});
