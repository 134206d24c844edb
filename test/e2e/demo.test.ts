import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Stack, startStack } from '../stack.ts';

// The example that a newcomer starts with: agentgate.yaml of the checkout, and a real MCP server behind the gate.

const cli = fileURLToPath(new URL('../../packages/cli/bin/agentgate.mjs', import.meta.url));
let stack: Stack;

beforeAll(async () => {
  stack = await startStack({ standard: true });
});
afterAll(() => stack?.stop());

const demo = (...flags: string[]) =>
  spawnSync(process.execPath, [cli, '--home', stack.home, ...flags, 'demo'], { encoding: 'utf8', timeout: 30_000 });

test('the demo tells its story in plain text, and ends with 0', () => {
  const { status, stdout } = demo();
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('All as it should be') });
  expect(stdout).not.toContain('\u001b');
  expect(stdout).toMatch(/ARGUMENT_NOT_ALLOWED/);
  expect(stdout).toMatch(/\/path/);
  expect(stdout).toMatch(/KILLED_SESSION/);
});

test('the demo can be told again, for a program to read', () => {
  const { status, stdout } = demo('--json');
  const told = JSON.parse(stdout) as { ok: boolean; steps: { held: boolean }[] };
  expect({ status, ok: told.ok, failed: told.steps.filter((s) => !s.held) }).toEqual({
    status: 0,
    ok: true,
    failed: [],
  });
  expect(told.steps.length).toBeGreaterThanOrEqual(4);
});
