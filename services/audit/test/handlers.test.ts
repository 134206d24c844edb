import type { ConsumedMessage } from '@agentgate/bus';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { Taken } from '../src/appender.ts';
import { createHandlers } from '../src/handlers.ts';
import { createMetrics } from '../src/metrics.ts';

class Died extends Error {}
const quiet = { warn: () => {}, error: () => {} };

const setUp = (take: (messages: readonly ConsumedMessage[]) => Taken<ConsumedMessage>) => {
  const trace: string[] = [];
  const registry = new Registry();
  const audit = {
    take: (messages: readonly ConsumedMessage[]) => {
      trace.push(`take ${messages.length}`);
      return take(messages);
    },
    tick: () => expect.fail('not asked'),
    reportOrphans: () => expect.fail('not asked'),
    forgetHeld: () => {},
    held: () => 0,
  };
  const handlers = createHandlers({
    audit,
    metrics: createMetrics(registry, { size: () => 1, held: () => 2, behind: () => 3 }),
    log: quiet,
    onTaken: () => trace.push('taken'),
    die: (_, message) => {
      throw new Died(message);
    },
  });
  const message = (ack: () => Promise<void> = async () => void trace.push('ack')): ConsumedMessage => ({
    subject: 's',
    seq: 1,
    data: new Uint8Array(),
    redelivered: false,
    ack,
    nak: () => {},
  });
  return { handlers, trace, message, registry };
};
const settleAll = (messages: readonly ConsumedMessage[]) => ({ settled: [...messages], appended: 1, anomalies: [] });

test('acknowledges after the commit, and a bunch after the other', async () => {
  const { handlers, trace, message } = setUp(settleAll);
  await handlers.onMessages(Array.from({ length: 9 }, () => message()));
  expect(trace.filter((t, i) => t !== trace[i - 1])).toEqual(['take 8', 'taken', 'ack', 'take 1', 'taken', 'ack']);
});

test('dies and acknowledges nothing when the disk fails', async () => {
  const { handlers, trace, message } = setUp(() => {
    throw new Error('disk I/O error');
  });
  await expect(handlers.onMessages([message()])).rejects.toThrow(Died);
  expect(trace).toEqual(['take 1']);
});

test('goes on when an acknowledgement is lost', async () => {
  const { handlers, trace, message } = setUp(settleAll);
  await handlers.onMessages([message(() => Promise.reject(new Error('timeout'))), message()]);
  expect(trace).toEqual(['take 2', 'taken', 'ack']);
});

test('counts anomalies by kind', async () => {
  const anomaly = { kind: 'hole', about: 'a', detail: 'd', key: 'k', toEvidence: true } as const;
  const { handlers, message, registry } = setUp(() => ({ settled: [], appended: 0, anomalies: [anomaly, anomaly] }));
  await handlers.onMessages([message()]);
  const metrics = await registry.metrics();
  expect(metrics).toContain('agentgate_audit_anomalies_total{kind="hole"} 2');
  expect(metrics).toContain('agentgate_audit_evidence_behind 3');
});
