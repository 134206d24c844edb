import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig, type StackStatus } from '@agentgate/contracts';
import { createDeployment } from '@agentgate/ground';
import { freePort } from '@agentgate/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CliError } from '../src/context.ts';
import { connectAs, statusFile } from '../src/stack.ts';
import { processStamp } from '../src/up/process-stamp.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'agentgate-stale-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** As it lies there when the machine lost its power. */
const leftBehind = async (up: { pid: number; stamp: string }) => {
  const nats = await freePort();
  const config = parseConfig('{"v":1,"tenants":{"default":{"agents":{"demo":{}}}}}', join(home, 'agentgate.yaml'));
  const deployment = await createDeployment({ home, config, ports: { nats, websocket: 1, redis: 2 } });
  const status: StackStatus = {
    v: 1,
    ready: true,
    pid: up.pid,
    started_at: '2026-01-01T00:00:00.000Z',
    nats: deployment.natsUrl,
    websocket: deployment.websocketUrl,
    mcp: 'http://127.0.0.1:3/mcp',
    metrics: {},
    creds: deployment.creds,
    config: join(home, 'agentgate.yaml'),
    log: { origin: 'o', dir: home, vkey: 'v' },
  };
  writeFileSync(statusFile(home), JSON.stringify(status));
  mkdirSync(join(home, 'run'), { recursive: true });
  writeFileSync(join(home, 'run', 'up.pid'), JSON.stringify({ name: 'up', ...up }));
};

test('says that nothing runs where the status is of an up that is gone', async () => {
  await leftBehind({ pid: process.pid, stamp: 'of an earlier boot' });
  const said = await connectAs(home, 'operator').catch((error: unknown) => error);
  expect(said).toBeInstanceOf(CliError);
  expect((said as Error).message).toBe(
    `nothing runs in ${home}: its status.json is of an agentgate up that was killed; start it with npm start`,
  );
});

test('says what NATS said where up still runs', async () => {
  await leftBehind({ pid: process.pid, stamp: processStamp(process.pid) ?? '' });
  await expect(connectAs(home, 'operator')).rejects.toThrow('did not take user operator: connection refused');
});
