import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditStream } from '@agentgate/contracts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { type Agent, openAgent } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';
import { expectHonest, expectRecovery, expectWholeEvidence, startLoad } from './load.ts';

// There is no room for evidence, while calls come. What fills up is the one small disk that the whole state of a stack lies on,
// where the tests may mount one; and the stream in which events wait for audit, which any of its owners can make small.

const folder = mkdtempSync(join(tmpdir(), 'agentgate-disk-'));
const disk = join(folder, 'disk');
const ballast = join(disk, 'ballast');
const diskMiB = 192;

/** Whether this user may mount one. */
const isRoot = process.getuid?.() === 0;

let stack: Stack;
let demo: Agent;
let session: string;
let evidence: EvidenceReader;
let isMounted = false;

beforeAll(async () => {
  if (isRoot) {
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMiB}m,mode=700`, 'tmpfs', disk]);
    isMounted = true;
  }
  stack = await startStack(isRoot ? { home: join(disk, 'home') } : {});
  demo = await openAgent(stack);
  session = await demo.open();
  evidence = await readEvidence(stack);
});
afterAll(async () => {
  await stack?.stop();
  if (isMounted) execFileSync('umount', [disk]);
  rmSync(folder, { recursive: true, force: true });
});

/** Calls go on while there is no room: those that are told that they ran did, and all that was told is evidence in the end. */
const expectDenials = async (
  about: string,
  { fill, makeRoom }: { fill: () => Promise<void> | void; makeRoom: () => Promise<void> | void },
) => {
  const load = startLoad(demo, session, about);
  await eventually('the load is on', () => load.sent.some((s) => s.reply?.status === 'ok'));
  await fill();
  const isDenied = () => load.sent.at(-1)?.reply?.code === 'EVIDENCE_UNAVAILABLE';
  await eventually('calls are denied for want of evidence', isDenied, 15_000);
  const from = load.sent.length;
  await eventually('more of them are', () => load.sent.length >= from + 4, 15_000);
  expect(load.sent.slice(from).map(({ reply }) => reply?.status)).not.toContain('ok');
  await makeRoom();
  // What ran just when the disk filled up holds its session until its outcome is evidence.
  await eventually('calls go through', () => load.sent.at(-1)?.reply?.status === 'ok', 20_000);
  const sent = await load.stop();
  expectHonest(stack, sent, /^(unavailable|outcome_unknown|no answer|denied)$/);
  await expectRecovery(demo, session, about);
  await expectWholeEvidence(evidence, sent);
};

const fillDisk = () => {
  const file = openSync(ballast, 'w');
  try {
    for (const block = Buffer.alloc(64 * 1024); ; ) writeSync(file, block);
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' });
  } finally {
    closeSync(file);
  }
};

test('calls are denied once AUDIT is full, and go through again when it takes events', {
  timeout: 60_000,
}, async () => {
  const [update, info] = ['UPDATE', 'INFO'].map((verb) => `$JS.API.STREAM.${verb}.${auditStream.name}`) as [
    string,
    string,
  ];
  const owner = await stack.connect('chaos', await stack.mint('AUDIT', 'chaos', [update, info], ['_INBOX_chaos.>']));
  const { config } = await owner.streamInfo(auditStream.name);
  const resize = async (max_bytes: unknown) => {
    const body = JSON.stringify({ ...config, max_bytes });
    const answer = await owner.requestRaw(update, body, { of: 'JetStream', timeoutMs: 5_000 });
    expect(JSON.parse(new TextDecoder().decode(answer))).not.toHaveProperty('error');
  };
  await expectDenials('full stream', { fill: () => resize(1), makeRoom: () => resize(config.max_bytes) });
});

if (isRoot)
  test('calls are denied once the disk is full, and go through again when there is room', {
    timeout: 60_000,
  }, async () => {
    await expectDenials('full disk', { fill: fillDisk, makeRoom: () => rmSync(ballast) });
  });
