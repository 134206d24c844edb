import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readMcpConfig } from '../src/config.ts';

let dir: string;
let base: { AGENTGATE_CONFIG: string };
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'agentgate-mcp-'));
  base = { AGENTGATE_CONFIG: join(dir, 'agentgate.yaml') };
  writeFileSync(base.AGENTGATE_CONFIG, 'v: 1\ntenants: {}\nlimits: { call_timeout_ms: 90000 }\n');
});
afterAll(() => rmSync(dir, { recursive: true }));

test('is addressed as loopback, and by the names that it is told; lets a call take what the configuration lets it', () => {
  const told = { AGENTGATE_TENANTS: '/t.json', AGENTGATE_MCP_PORT: '9', AGENTGATE_MCP_HOSTNAMES: 'gate,mcp.example' };
  expect(readMcpConfig(base, told)).toEqual({
    tenantsFile: '/t.json',
    port: 9,
    hostnames: ['127.0.0.1', 'localhost', '[::1]', 'gate', 'mcp.example'],
    callTimeoutMs: 90_000,
  });
  expect(readMcpConfig(base, { AGENTGATE_TENANTS: '/t.json' })).toMatchObject({ port: 8787 });
});

test.each([
  [{}, 'AGENTGATE_TENANTS'],
  [{ AGENTGATE_TENANTS: '/t.json', AGENTGATE_MCP_PORT: 'x' }, 'AGENTGATE_MCP_PORT'],
  [{ AGENTGATE_TENANTS: '/t.json', AGENTGATE_MCP_PORT: '65536' }, 'AGENTGATE_MCP_PORT'],
  [{ AGENTGATE_TENANTS: '/t.json', AGENTGATE_MCP_HOSTNAMES: '*' }, 'AGENTGATE_MCP_HOSTNAMES'],
  [{ AGENTGATE_TENANTS: '/t.json', AGENTGATE_MCP_HOSTNAMES: 'gate:8787' }, 'AGENTGATE_MCP_HOSTNAMES'],
])('names what is wrong in %j', (told, variable) => expect(() => readMcpConfig(base, told)).toThrow(`${variable}: `));

test('says which file it was not told', () =>
  expect(() => readMcpConfig({ AGENTGATE_CONFIG: undefined }, { AGENTGATE_TENANTS: '/t.json' })).toThrow(
    'AGENTGATE_CONFIG: must be set',
  ));
