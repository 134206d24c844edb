import type { Bus } from '@agentgate/bus';
import {
  AgentGateError,
  type EventDraft,
  type EventName,
  eventSource,
  eventsSubject,
  eventType,
} from '@agentgate/contracts';
import {
  batchFit,
  type ChainItem,
  createChain,
  disclosureText,
  encodeBatch,
  joinDisclosures,
  MAX_BATCH_EVENTS,
  type SigningKey,
} from '@agentgate/evidence';
import type { Logger } from 'pino';
import { newId } from './ids.ts';

/**
 * What a service says happened. Events are chained, sealed a batch at a time and published one batch after the other, so that
 * their order in the stream is the chain's. While one batch is being fsynced the next gathers.
 */
export interface Producer {
  /**
   * Resolves with the event's id once the AUDIT stream acknowledged it. Rejects EVIDENCE_UNAVAILABLE after `timeoutMs` (default
   * 2,000); the event is still queued then, and is written when that is possible again: the chain may have no hole.
   * `onDurable` also hears of one that was written late.
   */
  record<N extends EventName>(
    draft: EventDraft<N>,
    opts?: { timeoutMs?: number; onDurable?: (id: string) => void },
  ): Promise<string>;
  readonly pending: number;
  /** Events taken since the start. */
  readonly count: number;
  /** Writes what is queued, as far as it can within `timeoutMs`. */
  close(timeoutMs?: number): Promise<void>;
}

/** Events that may wait for a stream that does not acknowledge; beyond it nothing new is taken, so calls are denied. */
const maxPending = 8_192;
const maxDisclosedBytes = 64 * 1024 * 1024;
const publishMs = 2_000;
const retryMs = 100;

interface Waiting {
  item: ChainItem;
  settled: boolean;
  timer: NodeJS.Timeout | undefined;
  resolve(id: string): void;
  reject(error: AgentGateError): void;
  onDurable: ((id: string) => void) | undefined;
}

export interface ProducerOptions {
  bus: Pick<Bus, 'publishDurable'>;
  service: string;
  instance: string;
  key: SigningKey;
  log: Pick<Logger, 'warn' | 'error'>;
  now: () => number;
}

const late = (ms: number) =>
  new AgentGateError('EVIDENCE_UNAVAILABLE', `evidence was not acknowledged within ${ms} ms`);

export const createProducer = ({ bus, service, instance, key, log, now }: ProducerOptions): Producer => {
  const source = eventSource(service, instance);
  const epoch = newId('evt', now()).slice(4);
  const chain = createChain({ source, epoch });
  const queue: Waiting[] = [];
  let sending: Promise<void> | undefined;
  let closed = false;
  let count = 0;
  /** Bytes of disclosures that wait. */
  let disclosed = 0;

  const send = async () => {
    while (queue.length > 0) {
      const batch = queue.splice(0, batchFit(queue.slice(0, MAX_BATCH_EVENTS).map((w) => w.item)));
      const items = batch.map((w) => w.item);
      const body = joinDisclosures(encodeBatch(items, key), items);
      disclosed -= disclosedBytes(items);
      const first = batch[0]?.item.event.id ?? '';
      for (let failures = 0; ; failures++) {
        try {
          // The id makes a retry after a lost acknowledgement harmless.
          await bus.publishDurable(eventsSubject(service), body, {
            id: `${source}:${epoch}:${first}`,
            timeoutMs: publishMs,
          });
          break;
        } catch (error) {
          if (failures % 50 === 0)
            log.warn({ err: error, waiting: queue.length + batch.length }, 'evidence is not acknowledged');
          if (closed) throw error;
          await new Promise((resolve) => setTimeout(resolve, retryMs));
        }
      }
      for (const w of batch) {
        settle(w, () => w.resolve(w.item.event.id));
        w.onDurable?.(w.item.event.id);
      }
    }
  };
  const start = () => {
    if (sending) return;
    // After the poll phase: the events of all calls that one read brought share a seal and an fsync.
    sending = new Promise<void>((resolve) => setImmediate(resolve))
      .then(send)
      .catch((error: unknown) =>
        log.error({ err: error, lost: queue.length }, 'evidence could not be written before the end'),
      )
      .finally(() => {
        sending = undefined;
        if (queue.length > 0 && !closed) start();
      });
  };

  return {
    get pending() {
      return queue.length;
    },
    get count() {
      return count;
    },
    record: (draft, { timeoutMs = publishMs, onDurable } = {}) =>
      new Promise((resolve, reject) => {
        if (closed || queue.length >= maxPending || disclosed >= maxDisclosedBytes)
          return reject(
            new AgentGateError(
              'EVIDENCE_UNAVAILABLE',
              closed ? 'the producer has stopped' : 'too much evidence waits to be written',
            ),
          );
        const disclosures = draft.disclosures?.map(disclosureText);
        const chained = chain.next(toChained(draft, newId('evt', now()), new Date(now()).toISOString()));
        const item = disclosures ? { ...chained, disclosures } : chained;
        disclosed += disclosedBytes([item]);
        const waiting: Waiting = { item, settled: false, timer: undefined, resolve, reject, onDurable };
        waiting.timer = setTimeout(() => settle(waiting, () => reject(late(timeoutMs))), timeoutMs);
        queue.push(waiting);
        count++;
        start();
      }),
    close: async (timeoutMs = 2_000) => {
      const until = now() + timeoutMs;
      while ((queue.length > 0 || sending) && now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
      closed = true;
      for (const w of queue.splice(0)) settle(w, () => w.reject(late(timeoutMs)));
    },
  };
};

const settle = (w: Waiting, then: () => void) => {
  if (w.settled) return;
  w.settled = true;
  clearTimeout(w.timer);
  then();
};

const disclosedBytes = (items: readonly ChainItem[]): number =>
  items.reduce((sum, { disclosures = [] }) => disclosures.reduce((n, text) => n + text.length, sum), 0);

const toChained = <N extends EventName>(
  { name, disclosures: _, ...draft }: EventDraft<N>,
  id: string,
  time: string,
) => ({
  ...draft,
  id,
  type: eventType(name),
  time,
  data: draft.data as Record<string, unknown>,
});
