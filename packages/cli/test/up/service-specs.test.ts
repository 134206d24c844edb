import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig, services } from '@agentgate/contracts';
import { createDeployment } from '@agentgate/ground';
import { expect, test } from 'vitest';
import { serviceSpecs } from '../../src/up/service-specs.ts';
import { requireFree, stackPorts } from '../../src/up/stack-ports.ts';

const yaml =
  'v: 1\ntenants: { default: { agents: {} } }\ncredentials: { crm: { provider: static, from: { env: CRM_KEY } } }\npolicy: { packs: [baseline, dlp], secrets: { erp: { env: ERP_KEY } } }\nalerts: { endpoints: { pager: { url: "https://a.example/" } } }\n';

test('hands a credential of the environment to the broker alone, what must not leave to policy alone, what signs alerts to the notifier alone, and nothing else to anybody', async () => {
  const home = mkdtempSync(join(tmpdir(), 'agentgate-specs-'));
  try {
    const deployment = await createDeployment({
      home,
      config: parseConfig(yaml, '/srv/agentgate.yaml'),
      ports: stackPorts(),
    });
    const environment = {
      PATH: '/bin',
      CRM_KEY: 's3cret',
      ERP_KEY: 'n0t-to-leave',
      AGENTGATE_WEBHOOK_SECRET: 'wh-s3cret',
      CLOUD_TOKEN: 't0ken',
      AGENTGATE_REDIS_URL_FILE: '/etc/passwd',
    };
    const specs = serviceSpecs({
      deployment,
      root: '/srv',
      configFile: '/srv/agentgate.yaml',
      httpPorts: stackPorts().http,
      mcpPort: stackPorts().mcp,
      environment,
      node: '/bin/node',
      logLevel: 'info',
    });
    expect(specs.map((s) => s.name)).toEqual([...services]);
    expect(specs.filter((s) => Object.values(s.env).includes('s3cret')).map((s) => s.name)).toEqual([
      'credential-broker',
    ]);
    expect(specs.filter((s) => Object.values(s.env).includes('n0t-to-leave')).map((s) => s.name)).toEqual(['policy']);
    expect(specs.filter((s) => Object.values(s.env).includes('wh-s3cret')).map((s) => s.name)).toEqual(['notifier']);
    expect(JSON.stringify(specs)).not.toContain('t0ken');
    expect(JSON.stringify(specs)).not.toContain('/etc/passwd');
    expect(specs.find((s) => s.name === 'audit')?.env.AGENTGATE_REDIS_URL_FILE).toBeUndefined();
    const keys = specs.map((s) => s.env.AGENTGATE_KEY);
    expect(new Set(keys).size).toBe(services.length);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

test('moves every port with the base, and gives no two the same', () => {
  const ports = stackPorts(20_000);
  const all = [ports.nats, ports.websocket, ports.redis, ports.witness, ports.mcp, ...Object.values(ports.http)];
  expect(all.slice(0, 6)).toEqual([20_000, 20_001, 20_002, 20_003, 20_004, 20_010]);
  expect(new Set(all).size).toBe(all.length);
});

test('names the port that is in use', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  try {
    await expect(requireFree({ ...stackPorts(), nats: port })).rejects.toThrow(`port ${port} (NATS) is in use`);
  } finally {
    server.close();
  }
});
