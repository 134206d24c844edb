import { inboxOf, streams } from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { provision } from '../src/index.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await startGround({ redis: false });
});
afterAll(() => ground.stop());
const lay = () =>
  provision({ natsUrl: ground.natsUrl, seeds: ground.deployment.seeds, roster: ground.deployment.roster() });

test('changes nothing when everything is as it should be', async () => {
  const killSwitch = await ground.connect('kill-switch');
  const before = await killSwitch.streamInfo('KILL');
  await lay();
  expect(await killSwitch.streamInfo('KILL')).toEqual(before);
});

test('puts a stream right that was changed', async () => {
  const user = 'intruder';
  const creds = await ground.mintUser({ account: 'CORE', user, pub: ['$JS.API.>'], sub: [`${inboxOf(user)}.>`] });
  const bus = await ground.connect(user, { creds });
  const spec = streams.find((s) => s.name === 'KILL');
  await bus.requestRaw(
    '$JS.API.STREAM.UPDATE.KILL',
    JSON.stringify({ ...spec, account: undefined, storage: 'file', num_replicas: 1, max_bytes: 1024 * 1024 }),
    { of: 'x', timeoutMs: 2_000 },
  );
  const killSwitch = await ground.connect('kill-switch');
  expect((await killSwitch.streamInfo('KILL')).config).toMatchObject({ max_bytes: 1024 * 1024 });
  await lay();
  expect((await killSwitch.streamInfo('KILL')).config).toMatchObject({ max_bytes: -1 });
});

test('keeps what streams hold and who is who, when NATS starts again', async () => {
  const killSwitch = await ground.connect('kill-switch');
  await killSwitch.publishDurable('kill.v1.x', 'a', { timeoutMs: 2_000 });
  await ground.nats.kill('SIGKILL');
  await ground.nats.start();
  const again = await ground.connect('kill-switch');
  expect((await again.streamInfo('KILL')).messages).toBe(1);
});
