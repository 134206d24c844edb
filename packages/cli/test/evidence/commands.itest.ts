import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evidenceSubject } from '@agentgate/contracts';
import { generateSigningKey } from '@agentgate/evidence';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { headersOf, sealedEntries } from './entries.ts';

// The command as its users have it, on the real stream with the auditor's own credentials.

const bin = fileURLToPath(new URL('../../bin/agentgate.mjs', import.meta.url));
const [ses, call] = ['ses_0123456789', 'call_0123456789'];
let ground: Ground;
let home: string;
let published = 0;

const publish = async (texts: string[]) => {
  const bus = await ground.connect('audit-log', { instance: `writer-${published}` });
  for (const text of texts) {
    const headers = headersOf(text, published++);
    await bus.publishDurable(evidenceSubject('default', 'agentgate.call.decided.v1'), text, {
      headers,
      timeoutMs: 2_000,
    });
  }
};
/** Entries of one instance of ingress, sealed with its real key. */
const entriesOf = (instance: string, count: number, session?: string, by = ground.key('ingress')) =>
  sealedEntries(
    Array.from({ length: count }, (_, i) => ({
      id: `evt_${instance}_${i}`,
      session: session ?? 'ses_other00000',
      data: { call: i === 0 ? call : 'call_other00000', tool: `files/${instance}${i}` },
    })),
    { by, instance },
  );

interface Run {
  child: ChildProcess;
  stdout(): string;
  stderr(): string;
  ended: Promise<number | null>;
}
const start = (...args: string[]): Run => {
  const child = spawn(process.execPath, [bin, 'evidence', ...args, '--home', home], {
    env: { ...process.env, NO_COLOR: '1' },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => {
    stdout += String(data);
  });
  child.stderr.on('data', (data) => {
    stderr += String(data);
  });
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended: new Promise((resolve) => child.once('close', resolve)),
  };
};
const run = async (...args: string[]) => {
  const started = start(...args);
  const code = await started.ended;
  return { code, stderr: started.stderr(), lines: started.stdout().split('\n').filter(Boolean) };
};

beforeAll(async () => {
  ground = await startGround({ redis: false });
  const { deployment } = ground;
  home = deployment.home;
  const status = {
    v: 1,
    ready: true,
    pid: process.pid,
    started_at: new Date().toISOString(),
    nats: ground.natsUrl,
    websocket: deployment.websocketUrl,
    mcp: 'http://127.0.0.1:3/mcp',
    metrics: {},
    creds: deployment.creds,
    config: ground.configFile,
    log: { origin: 'o', dir: 'd', vkey: 'v' },
  };
  writeFileSync(join(home, 'status.json'), JSON.stringify(status));
  await publish([...entriesOf('a', 3), ...entriesOf('b', 4, ses)]);
});
afterAll(() => ground.stop());

test('tails the last entries, verified', async () => {
  const { code, lines } = await run('tail', '-n', '2');
  expect(lines.map((l) => l.split(/ {2,}/).at(-1)?.trim())).toEqual(['files/b2', 'files/b3']);
  expect(lines.every((l) => l.includes(' ✓ '))).toBe(true);
  expect(code).toBe(0);
});

test('tails a session, as JSON', async () => {
  const { code, lines } = await run('tail', '-n', '3', '--session', ses, '--json');
  const entries = lines.map(
    (l) => JSON.parse(l) as { index: number; verified: boolean; event: { id: string; session: string } },
  );
  expect(entries.map((e) => [e.index, e.verified, e.event.id, e.event.session])).toEqual(
    [4, 5, 6].map((i) => [i, true, `evt_b_${i - 3}`, ses]),
  );
  expect(code).toBe(0);
});

test('follows what comes until it is interrupted', async () => {
  const tail = start('tail', '-n', '1', '--follow');
  await vi.waitFor(() => expect(tail.stdout()).toContain('files/b3'), { timeout: 15_000 });
  await publish(entriesOf('c', 1));
  await vi.waitFor(() => expect(tail.stdout()).toContain('files/c0'), { timeout: 5_000 });
  tail.child.kill('SIGINT');
  expect(await tail.ended).toBe(0);
});

test.each([
  ['an event', 'evt_a_1', ['evt_a_1']],
  ['a call', call, ['evt_a_0', 'evt_b_0', 'evt_c_0']],
  ['a session', ses, ['evt_b_0', 'evt_b_1', 'evt_b_2', 'evt_b_3']],
])('shows everything about %s', async (_, id, ids) => {
  const { code, lines } = await run('show', id, '--json');
  expect(lines.map((l) => (JSON.parse(l) as { event: { id: string } }).event.id)).toEqual(ids);
  expect(code).toBe(0);
});

test('says so, with exit code 1, when nothing is about it', async () => {
  expect(await run('show', 'evt_nowhere')).toEqual({
    code: 1,
    lines: [],
    stderr: 'agentgate: nothing in evidence is about evt_nowhere\n',
  });
});

test('tells a forged entry with exit code 1, whatever was asked for', async () => {
  await publish(entriesOf('forged', 1, ses, generateSigningKey()));
  const { code, lines } = await run('show', 'evt_a_1');
  expect(lines).toHaveLength(3);
  expect(lines[1]).toContain('✗ not to be believed');
  expect(lines[2]).toContain('no key ');
  expect(code).toBe(1);
});
