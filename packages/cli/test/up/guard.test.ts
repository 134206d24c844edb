import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { processStamp } from '../../src/up/process-stamp.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'agentgate-guard-'));
  mkdirSync(join(home, 'run'));
  mkdirSync(join(home, 'logs'));
  writeFileSync(join(home, 'status.json'), '{}');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** What `up` does, in small: a guard, a supervised program, and then the line that is given. */
const upLike = (then: string) => {
  const at = (file: string) => JSON.stringify(new URL(`../../src/up/${file}`, import.meta.url).href);
  const script = `
    const { startGuard } = await import(${at('guard.ts')});
    const { createSupervisor } = await import(${at('supervisor.ts')});
    const dismiss = startGuard(${JSON.stringify(home)});
    const s = createSupervisor({ home: ${JSON.stringify(home)}, onLine: () => console.log(s.state('p').pid), onEnd: () => {} });
    s.start({ name: 'p', command: process.execPath, args: ['-e', 'console.log("up"); setInterval(() => {}, 1000)'], env: {}, cwd: '/' });
    process.stdin.once('data', async () => { ${then} });`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
};
const pidFrom = (child: ReturnType<typeof upLike>): Promise<number> =>
  new Promise((resolve) => child.stdout?.once('data', (data) => resolve(Number(String(data)))));
const gone = (child: ReturnType<typeof upLike>) => new Promise((resolve) => child.once('exit', resolve));

test('takes status.json away and ends every program, when up is killed', async () => {
  const child = upLike('');
  const pid = await pidFrom(child);
  expect(processStamp(pid)).toBeDefined();
  child.kill('SIGKILL');
  await vi.waitFor(() => expect(existsSync(join(home, 'status.json'))).toBe(false), 5_000);
  await vi.waitFor(() => expect(processStamp(pid)).toBeUndefined(), 10_000);
});

test('does nothing, when up ends in order', async () => {
  const child = upLike("dismiss(); await s.stop(['p'], 1000); process.exit(0);");
  await pidFrom(child);
  child.stdin?.write('end\n');
  await gone(child);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(existsSync(join(home, 'status.json'))).toBe(true);
});
