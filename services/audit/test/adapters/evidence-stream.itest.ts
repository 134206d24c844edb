import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEvidenceStream } from '../../src/adapters/evidence-stream.ts';
import type { EvidenceStream, LogEntry } from '../../src/publisher.ts';

let ground: Ground;
let stream: EvidenceStream;
beforeAll(async () => {
  ground = await startGround({ redis: false });
  stream = createEvidenceStream(await ground.connect('audit-log'));
});
afterAll(() => ground.stop());

const entry = (index: number, tenant: string | null = null): LogEntry => ({
  index,
  leafHash: String(index).padStart(64, '0'),
  body: Buffer.from(`entry ${index}`),
  tenant,
  type: 'agentgate.call.decided.v1',
});

test('refuses an entry after a lost one, a repeat, and whatever does not come next', async () => {
  expect(await stream.last()).toEqual({ lastSeq: 0 });
  await stream.publish({ entries: [entry(0), entry(1, 'default')], note: undefined }, 0);
  await expect(stream.publish({ entries: [entry(3)], note: undefined }, 3)).rejects.toThrow();
  await expect(stream.publish({ entries: [entry(1)], note: undefined }, 1)).rejects.toThrow();
  await expect(stream.publish({ entries: [entry(1)], note: undefined }, 2)).rejects.toThrow(
    'entry 1 does not come next, but 2',
  );
  await expect(stream.publish({ entries: [entry(2), entry(4)], note: undefined }, 2)).rejects.toThrow('but 3');
  // The first of these is not in its place: none of what follows it may be.
  await expect(stream.publish({ entries: [entry(2), entry(3), entry(4)], note: undefined }, 1)).rejects.toThrow();
  expect(await stream.last()).toEqual({ lastSeq: 2, entry: { index: 1, leafHash: entry(1).leafHash } });
  expect(await stream.publish({ entries: [entry(2)], note: 'a checkpoint' }, 2)).toBe(4);
  expect(await stream.publish({ entries: [], note: 'a checkpoint' }, 4)).toBe(5);
  // A checkpoint is no entry.
  expect(await stream.last()).toEqual({ lastSeq: 5, entry: { index: 2, leafHash: entry(2).leafHash } });
  const auditor = await ground.connect('auditor');
  const read = await auditor.lastMessage('EVIDENCE', 'evidence.v1._.>');
  expect([read?.seq, read?.header('Ag-Index'), new TextDecoder().decode(read?.data)]).toEqual([3, '2', 'entry 2']);
});

test('refuses a run that comes late, however long after what it repeats', async () => {
  const late = createEvidenceStream(await ground.connect('audit-log'));
  const { lastSeq, entry: before } = await late.last();
  await stream.last();
  const next = (before?.index ?? -1) + 1;
  const run = { entries: [entry(next), entry(next + 1), entry(next + 2)], note: undefined };
  await stream.publish(run, lastSeq);
  // Longer than the server remembers ids.
  await new Promise((resolve) => setTimeout(resolve, 300));
  await expect(late.publish(run, lastSeq)).rejects.toThrow();
  expect(await stream.last()).toMatchObject({ lastSeq: lastSeq + 3, entry: { index: next + 2 } });
});
