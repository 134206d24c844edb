import type { ConsumedMessage } from '@agentgate/bus';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { Taken } from '../src/appender.ts';
import { createHandlers } from '../src/handlers.ts';
import { createMetrics } from '../src/metrics.ts';

class Died extends Error {}
const quiet = { warn: () => {}, error: () => {} };

const setUp = (
  take: (messages: readonly ConsumedMessage[]) => Taken<ConsumedMessage>,
  checkpoint: () => Promise<void> = async () => {},
) => {
  const trace: string[] = [];
  const registry = new Registry();
  const audit = {
    take: (messages: readonly ConsumedMessage[]) => {
      trace.push(`take ${messages.length}`);
      return take(messages);
    },
    tick: () => expect.fail('not asked'),
    reportOrphans: () => expect.fail('not asked'),
    reportSilent: () => expect.fail('not asked'),
    report: () => expect.fail('not asked'),
    forgetHeld: () => {},
    held: () => 0,
  };
  const handlers = createHandlers({
    audit,
    checkpoint: async () => {
      await checkpoint();
      trace.push('checkpoint');
    },
    metrics: createMetrics(registry, { size: () => 1, published: () => 1, held: () => 2, behind: () => 3 }),
    log: quiet,
    onTaken: () => trace.push('taken'),
    die: (_, message) => {
      throw new Died(message);
    },
  });
  const message = (ack: () => void = () => void trace.push('ack')): ConsumedMessage => ({
    subject: 's',
    seq: 1,
    data: Buffer.from('{"v":1,"size":256,"events":[]}'),
    redelivered: false,
    ack,
    nak: () => {},
  });
  return { handlers, trace, message, registry };
};
const settleAll = (messages: readonly ConsumedMessage[]) => ({ settled: [...messages], appended: 1, anomalies: [] });

test('acknowledges after a checkpoint, and some hundred events after the others', async () => {
  const { handlers, trace, message } = setUp(settleAll);
  await handlers.onMessages(Array.from({ length: 3 }, () => message()));
  const [first, second] = ['take 2', 'take 1'].map((take) => [take, 'taken', 'checkpoint', 'ack']);
  expect(trace.filter((t, i) => t !== trace[i - 1])).toEqual([...(first ?? []), ...(second ?? [])]);
});

test('acknowledges nothing when no checkpoint could be made', async () => {
  const failing = () => Promise.reject(new Error('no space left on device'));
  const { handlers, trace, message } = setUp(settleAll, failing);
  await expect(handlers.onMessages([message()])).rejects.toThrow('no space left on device');
  expect(trace).toEqual(['take 1', 'taken']);
});

test('dies and acknowledges nothing when the disk fails', async () => {
  const { handlers, trace, message } = setUp(() => {
    throw new Error('disk I/O error');
  });
  await expect(handlers.onMessages([message()])).rejects.toThrow(Died);
  expect(trace).toEqual(['take 1']);
});

test('goes on when acknowledgements cannot be sent', async () => {
  const { handlers, trace, message } = setUp(settleAll);
  const broken = message(() => {
    throw new Error('the connection is closed');
  });
  await handlers.onMessages([broken]);
  await handlers.onMessages([message()]);
  expect(trace).toEqual(['take 1', 'taken', 'checkpoint', 'take 1', 'taken', 'checkpoint', 'ack']);
});

test('counts anomalies by kind', async () => {
  const anomaly = { kind: 'hole', about: 'a', detail: 'd', key: 'k', toEvidence: true } as const;
  const { handlers, message, registry } = setUp(() => ({ settled: [], appended: 0, anomalies: [anomaly, anomaly] }));
  await handlers.onMessages([message()]);
  const metrics = await registry.metrics();
  expect(metrics).toContain('agentgate_audit_anomalies_total{kind="hole"} 2');
  expect(metrics).toContain('agentgate_audit_evidence_behind 3');
});
