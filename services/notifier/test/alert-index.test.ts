import type { AlertRecord } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createAlertIndex } from '../src/alert-index.ts';

const at = (second: number) => new Date(second * 1_000).toISOString();
let revision = 0;
const held = (n: number, nextAt: number, more: Partial<AlertRecord> = {}) => {
  const event = `evt_${String(n).padStart(10, '0')}`;
  const record: AlertRecord = {
    v: 1,
    id: `pager/${event}`,
    endpoint: 'pager',
    event,
    type: 'agentgate.kill.ordered.v1',
    body: '{}',
    state: 'waiting',
    since: at(0),
    tries: 0,
    next_at: at(nextAt),
    ...more,
  };
  return { record, revision: ++revision };
};
const nobody: ReadonlySet<string> = new Set();

test('what is due for longest comes first, and what is not due does not come', () => {
  const index = createAlertIndex();
  const all = [30, 10, 50, 20, 40].map((next, n) => held(n, next));
  for (const one of all) index.put(one);
  expect(index.due('pager', 9_999, nobody)).toBeUndefined();
  expect(index.due('pager', 60_000, nobody)).toBe(all[1]);
  expect(index.due('nobody', 60_000, nobody)).toBeUndefined();
});

test('those that are on their way are passed over, and are found again when they are not', () => {
  const index = createAlertIndex();
  const [first, second] = [held(1, 10), held(2, 20)];
  for (const one of [first, second]) index.put(one);
  expect(index.due('pager', 60_000, new Set([first.record.id]))).toBe(second);
  expect(index.due('pager', 60_000, new Set([first.record.id, second.record.id]))).toBeUndefined();
  expect(index.due('pager', 60_000, nobody)).toBe(first);
});

test('an alert is due when its newest record says so', () => {
  const index = createAlertIndex();
  index.put(held(1, 10));
  const later = held(1, 40, { tries: 1 });
  index.put(later);
  index.put(held(2, 50));
  expect(index.due('pager', 39_999, nobody)).toBeUndefined();
  expect(index.due('pager', 40_000, nobody)).toBe(later);
  index.put(held(1, 10, { state: 'dead', ended_at: at(41) }));
  expect(index.due('pager', 49_999, nobody)).toBeUndefined();
  index.put(held(1, 10, { state: 'delivered', ended_at: at(42) }));
  expect(index.due('pager', 49_999, nobody)).toBeUndefined();
});

test('the order is that of a sorted list, whatever is put, changed and dropped', () => {
  const index = createAlertIndex();
  const waiting = new Map<number, ReturnType<typeof held>>();
  for (let n = 0; n < 2_000; n++) {
    const id = (n * 7_919) % 500;
    const one = held(id, (n * 104_729) % 10_007);
    if (n % 5 === 0) {
      index.drop(one.record.id, one.revision);
      waiting.delete(id);
    } else {
      index.put(one);
      waiting.set(id, one);
    }
  }
  const wanted = [...waiting.values()].map(({ record }) => record.next_at).sort();
  const told: string[] = [];
  const busy = new Set<string>();
  for (let next = index.due('pager', 1e9, busy); next; next = index.due('pager', 1e9, busy)) {
    told.push(next.record.next_at);
    index.drop(next.record.id, next.revision);
  }
  expect(told).toEqual(wanted);
});
