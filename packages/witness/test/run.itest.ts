import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { NOTE_COSIGNATURE, parseNote, parseSignatureLines, parseVkey, verifyCosignature } from '@agentgate/evidence';
import { afterAll, afterEach, expect, test } from 'vitest';
import { initWitness, readWitness } from '../src/folder.ts';
import { createLog } from './log.ts';

/** Without the command line around it, which starts faster. */
const program = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const cli = fileURLToPath(new URL('../../cli/bin/agentgate.mjs', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'agentgate-witness-run-'));
const children = new Set<ChildProcess>();
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
});
afterAll(() => rmSync(root, { recursive: true }));

const size = 400;
const log = createLog('log.example/a', size);
const tree = log.grow();
const fork = log.grow({ salt: ' forged' });
let folders = 0;
const lay = () => {
  const folder = join(root, String(folders++));
  initWitness(folder, { name: 'witness.example/w1', logs: [log.vkey] });
  const key = parseVkey(readWitness(folder).vkey, NOTE_COSIGNATURE);
  return { folder, key };
};

/** The real command, once it says where it listens; or what it said instead. */
const start = async (folder: string, command = [cli, 'witness', 'run', folder, '--port', '0']) => {
  const env = { ...process.env, AGENTGATE_WITNESS_DIR: folder, AGENTGATE_HTTP_PORT: '0' };
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'], env });
  children.add(child);
  const gone = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const { msg, port } = JSON.parse(line) as { msg: string; port: number };
    if (msg === 'ready') return { child, gone, url: `http://127.0.0.1:${port}` };
  }
  return { child, gone, stderr: () => stderr };
};
const running = async (folder: string, command?: string[]) => {
  const started = await start(folder, command);
  if (!started.url) return expect.fail(`it did not start: ${started.stderr?.()}`);
  return started as { child: ChildProcess; gone: Promise<number | null>; url: string };
};
const post = async (url: string, body: string) => {
  const answer = await fetch(`${url}/add-checkpoint`, { method: 'POST', body });
  return { status: answer.status, type: answer.headers.get('content-type'), body: await answer.text() };
};

test('cosigns over HTTP, remembers over a restart, and stops in order', async () => {
  const { folder, key } = lay();
  const first = await running(folder);
  const answer = await post(first.url, tree.ask(0, 7));
  expect(answer.status).toBe(200);
  const [signature] = parseSignatureLines(answer.body);
  if (!signature) return expect.fail('no signature');
  const verdict = verifyCosignature(parseNote(tree.note(7)).text, { signature, witness: key });
  expect(verdict).toMatchObject({ ok: true });
  first.child.kill('SIGTERM');
  expect(await first.gone).toBe(0);
  const second = await running(folder);
  expect(await post(second.url, tree.ask(0, 20))).toEqual({ status: 409, type: 'text/x.tlog.size', body: '7\n' });
  expect(await post(second.url, fork.ask(7, 20))).toMatchObject({ status: 422 });
  expect(await post(second.url, tree.ask(7, 20))).toMatchObject({ status: 200 });
  expect(await (await fetch(second.url)).json()).toMatchObject({
    witness: 'witness.example/w1',
    cosigned: [{ origin: log.origin, size: 20 }],
  });
});

test('a second one in the same folder does not start', async () => {
  const { folder } = lay();
  await running(folder, [program]);
  const second = await start(folder, [program]);
  expect(await second.gone).toBe(1);
  expect(second.stderr?.()).toContain(
    `WitnessError: ${join(folder, 'state.db')} is in use: this witness runs already\n`,
  );
});

test('of two requests at once one is cosigned, and the other told the size', async () => {
  const { folder } = lay();
  const { url } = await running(folder, [program]);
  await post(url, tree.ask(0, 1));
  for (let size = 1; size < 30; size++) {
    const answers = await Promise.all(
      [tree, fork, tree, fork].map((history) => post(url, history.ask(size, size + 1))),
    );
    // The fork never continues what was signed; of the two good ones the second asks from a size that is over.
    expect(answers.map((a) => a.status).sort()).toEqual([200, 409, ...expectOfFork(answers)].sort());
    expect(answers.filter((a) => a.status === 200)).toHaveLength(1);
  }
});
const expectOfFork = (answers: { status: number }[]) => answers.filter((_, i) => i % 2 === 1).map((a) => a.status);

test('killed with SIGKILL at any moment, it never signs against what it signed before', async () => {
  const { folder } = lay();
  let heard = 0;
  let interrupted = 0;
  const rounds = 6;
  for (let round = 0; round < rounds; round++) {
    const { child, gone, url } = await running(folder, [program]);
    const { cosigned } = (await (await fetch(url)).json()) as { cosigned: { size: number }[] };
    const from = cosigned[0]?.size ?? 0;
    // What was heard to be signed is remembered; of one more the answer may have been lost.
    expect([heard, heard + 1]).toContain(from);
    heard = from;
    const until = from + 3 + round;
    try {
      for (; ; heard++) {
        if (heard === until) setTimeout(() => child.kill('SIGKILL'), round % 6);
        if (heard > 0) expect((await post(url, fork.ask(heard, heard + 1))).status).toBe(422);
        expect((await post(url, tree.ask(heard, heard + 1))).status).toBe(200);
      }
    } catch (error) {
      // The connection broke in the middle.
      if (!(error instanceof TypeError)) throw error;
      interrupted++;
    }
    await gone;
  }
  expect(interrupted).toBe(rounds);
}, 180_000);
