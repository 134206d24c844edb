import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createChain, encodeBatch } from '@agentgate/evidence';
import { startGround } from '@agentgate/testkit';
import { spawn } from 'node:child_process';
const ground = await startGround({ redis: false });
const bus = await ground.connect('ingress');
const chain = createChain({ source: 'agentgate/ingress/i1', epoch: 'e1' });
const key = ground.key('ingress');
const total = Number(process.argv[2] ?? 100_000);
let n = 0;
const item = () => {
  n++;
  const call = `call_${String(n >> 1).padStart(12, '0')}`;
  const data = n % 2 ? { call, tool: 'filesystem/read_file', arguments: { path: '/srv/box/a.txt' }, decision: { action: 'allow', code: 'OK', reason: 'granted by demo-files', rule: 'demo-files', obligations: {} }, policy: { revision: 'r1', digest: 'ab'.repeat(32) }, kill_epoch: 0, deadline: Date.now() + 30_000 } : { call, outcome: 'ok', code: 'OK', duration_ms: 1.2, result_digest: 'ab'.repeat(32), redacted: [] };
  return chain.next({ id: `evt_${n}`, type: n % 2 ? 'agentgate.call.decided.v1' : 'agentgate.call.completed.v1', subject: call, time: new Date().toISOString(), tenant: 'default', agent: 'demo', session: 'ses_0123456789', data });
};
const t0 = performance.now();
for (let i = 0; i < total / 64; i++) {
  const body = encodeBatch(Array.from({ length: 64 }, item), key);
  await bus.publishDurable('events.v1.ingress', body, { timeoutMs: 5000 });
}
console.log('published', total, Math.round((total / (performance.now() - t0)) * 1000), '/s');
const log = await ground.connect('audit-log');
const env = { PATH: process.env.PATH, AGENTGATE_NATS_URL: ground.natsUrl, AGENTGATE_NATS_CREDS: ground.credsFile('audit'), AGENTGATE_AUDIT_CREDS: ground.credsFile('audit-log'), AGENTGATE_KEY: ground.keyFile('audit'), AGENTGATE_TRUST: ground.trustFile, AGENTGATE_STATE_DIR: ground.dir + '/audit' };
const child = spawn(process.execPath, [...(process.env.PROF ? ['--cpu-prof', '--cpu-prof-dir=/tmp/prof'] : []), new URL('../../src/main.ts', import.meta.url).pathname], { env, stdio: ['ignore', 'inherit', 'inherit'] });
let started = 0; let doneA = 0;
for (;;) {
  const [a, e] = await Promise.all([log.streamInfo('AUDIT'), log.streamInfo('EVIDENCE')]);
  if (!started && e.lastSeq > 0) started = performance.now();
  if (!doneA && a.messages <= 1 && started) { doneA = performance.now(); console.log('appended in', Math.round(doneA - started)); }
  if (e.lastSeq >= total) break;
  await sleep(50);
}
const s = (performance.now() - started) / 1000;
console.log('evidence', Math.round(total / s), '/s');
console.log(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/Vm(HWM|RSS).*/g));
child.kill('SIGTERM');
await sleep(2500);
await ground.stop();
process.exit(0);
