import { writeFileSync } from 'node:fs';
import type { Bus } from '@agentgate/bus';
import { buckets, evidenceStream } from '@agentgate/contracts';
import { type Ground, keepStream, startGround } from '@agentgate/testkit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createEvidenceWriter } from './evidence-writer.ts';
import { type Order, takeOrders } from './order-taker.ts';
import { type ServiceProcess, startSentinel } from './service-process.ts';

// A NATS that crashes and comes back without the end of EVIDENCE. Audit writes again what is missing, without the checkpoints that stood in
// between, so entries that nobody has looked at yet stand at sequences that the sentinel has read already.

const agents = Array.from({ length: 5 }, (_, i) => `a${i}`);
const containment = { denials: [{ id: 'probing', count: 3, window_s: 3_600 }] };
const patience = { timeout: 20_000, interval: 50 };

let ground: Ground;
let log: Bus;
let sentinelBus: Bus;
let evidence: ReturnType<typeof createEvidenceWriter>;
let sentinel: ServiceProcess | undefined;
let orders: Order[];

beforeAll(async () => {
  ground = await startGround({ tenants: { default: agents }, redis: false });
  const agentsOf = Object.fromEntries(agents.map((agent) => [agent, {}]));
  writeFileSync(ground.configFile, JSON.stringify({ v: 1, tenants: { default: { agents: agentsOf } }, containment }));
  log = await ground.connect('audit-log');
  sentinelBus = await ground.connect('sentinel', { instance: 'test' });
  evidence = createEvidenceWriter(ground, log);
  orders = await takeOrders(ground);
});
afterEach(async () => {
  const running = sentinel;
  sentinel = undefined;
  await running?.kill('SIGKILL');
});
afterAll(() => ground?.stop());

/** Whenever it ends by itself, it is started again, as a supervisor would. */
const supervise = async () => {
  const started = await startSentinel(ground, 's1');
  sentinel = started;
  void started.exited.then(() => {
    if (sentinel === started) void supervise();
  });
  return started;
};
const lastSeq = async () => (await log.streamInfo(evidenceStream.name)).lastSeq;
const allIsCounted = () =>
  expect
    .poll(async () => {
      const entry = await sentinelBus.bucket(buckets.sentinel).get('watch');
      return entry && JSON.parse(new TextDecoder().decode(entry.value)).index;
    }, patience)
    .toBe(evidence.index);
const isBack = () => expect.poll(() => log.connected() && sentinelBus.connected(), patience).toBe(true);
/** What no rule asks for. */
const other = () => evidence.write('producer.heartbeat', {}, {});

test.each([
  ['a0', 'lives on, and more comes', { restarted: false, more: true }],
  ['a1', 'lives on, and the stream is exactly as long as before', { restarted: false, more: false }],
  ['a2', 'starts anew, and more comes', { restarted: true, more: true }],
  ['a3', 'starts anew, and the stream is exactly as long as before', { restarted: true, more: false }],
])(
  'stops %s for what stands where it has read already, where it %s',
  async (agent, _, { restarted, more }) => {
    const first = await supervise();
    await evidence.refused(agent);
    await evidence.checkpoint();
    await allIsCounted();
    const kept = await keepStream(ground, evidenceStream.name);
    await isBack();
    const keptSeq = await lastSeq();
    await evidence.refused(agent);
    for (let i = 0; i < 8; i++) await evidence.checkpoint();
    await allIsCounted();
    const readTo = await lastSeq();
    expect(readTo).toBe(keptSeq + 9);
    const lost = await log.lastMessage(evidenceStream.name, 'evidence.v1.default.>');

    // Nobody looks until the stream is as long as it was.
    if (restarted) sentinel = undefined;
    await first.kill(restarted ? 'SIGKILL' : 'SIGSTOP');
    await kept.crash();
    await isBack();
    expect(await lastSeq()).toBe(keptSeq);
    if (!lost) throw new Error('nothing was written');
    await log.publishDurable('evidence.v1.default.agentgate.call.decided.v1', lost.data, {
      headers: { 'Ag-Index': String(evidence.index) },
      timeoutMs: 5_000,
    });
    await evidence.refused(agent);
    while ((await lastSeq()) < readTo) await other();
    if (more) {
      await evidence.refused('a4');
      await evidence.checkpoint();
    }
    if (restarted) await supervise();
    else await first.kill('SIGCONT');
    const ordered = () => orders.filter(({ scope }) => scope.id === agent);
    await expect.poll(() => ordered().length, patience).toBe(1);
    expect(ordered()[0]?.events).toHaveLength(3);
    if (!restarted) expect(first.logs()).toContain('EVIDENCE was written anew');
  },
  60_000,
);
