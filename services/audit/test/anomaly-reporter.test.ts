import { expect, test } from 'vitest';
import { createAnomalyReporter, type UnreportedAnomaly } from '../src/anomaly-reporter.ts';

const setUp = (count: number) => {
  const rows: UnreportedAnomaly[] = Array.from({ length: count }, (_, row) => ({
    row,
    kind: 'hole',
    about: `place ${row}`,
    detail: 'd',
  }));
  const reported = new Map<number, string>();
  const book = {
    unreported: (limit: number) => rows.filter((r) => !reported.has(r.row)).slice(0, limit),
    setReported: (row: number, event: string) => void reported.set(row, event),
  };
  return { rows, reported, book };
};

test('records each anomaly once, with whom it concerns, and remembers the event', async () => {
  const { rows, reported, book } = setUp(40);
  Object.assign(rows[0] ?? {}, { tenant: 'default', session: 'ses_1' });
  const told: unknown[] = [];
  const reporter = createAnomalyReporter(book, async (draft) => `evt_${told.push(draft)}`);
  await Promise.all([reporter.report(), reporter.report()]);
  await reporter.report();
  expect(told).toHaveLength(40);
  expect(told[0]).toEqual({
    name: 'evidence.anomaly',
    subject: 'place 0',
    tenant: 'default',
    session: 'ses_1',
    data: { kind: 'hole', about: 'place 0', detail: 'd' },
  });
  expect(reported.get(39)).toBe('evt_40');
});

test('tells the rest at the next call when evidence could not be written', async () => {
  const { reported, book } = setUp(3);
  let fails = true;
  const reporter = createAnomalyReporter(book, async ({ subject }) => {
    if (fails && subject === 'place 1') throw new Error('EVIDENCE_UNAVAILABLE');
    return `evt of ${subject}`;
  });
  await expect(reporter.report()).rejects.toThrow('EVIDENCE_UNAVAILABLE');
  expect([...reported.keys()]).toEqual([0]);
  fails = false;
  await reporter.report();
  expect([...reported.keys()]).toEqual([0, 1, 2]);
});
