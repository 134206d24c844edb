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
    opts?: { timeoutMs?: number; onDurable?: ((id: string) => void) | undefined },
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

/** Who waits for an event, and of the event no more than that: it is let go once it is sealed. */
interface Waiting {
  id: string;
  timeoutMs: number;
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
  /** What is to be sealed and, at the same places, who waits for it. */
  const items: ChainItem[] = [];
  const waiting: Waiting[] = [];
  let sending: Promise<void> | undefined;
  let closed = false;
  let count = 0;
  /** Bytes of disclosures that wait. */
  let disclosed = 0;

  const seal = (sealed: readonly ChainItem[]): Uint8Array => {
    disclosed -= disclosedBytes(sealed);
    return joinDisclosures(encodeBatch(sealed, key), sealed);
  };
  const send = async () => {
    while (items.length > 0) {
      const batch = waiting.splice(0, batchFit(items));
      const body = seal(items.splice(0, batch.length));
      const first = batch[0]?.id ?? '';
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
            log.warn(
              { err: error, waiting: items.length + batch.length },
              'evidence is not acknowledged by NATS: calls are denied until it is; trying again',
            );
          if (closed) throw error;
          await new Promise((resolve) => setTimeout(resolve, retryMs));
        }
      }
      for (const w of batch) {
        if (settle(w)) w.resolve(w.id);
        w.onDurable?.(w.id);
      }
    }
  };
  const start = () => {
    if (sending) return;
    // After the poll phase: the events of all calls that one read brought share a seal and an fsync.
    sending = new Promise<void>((resolve) => setImmediate(resolve))
      .then(send)
      .catch((error: unknown) =>
        log.error({ err: error, lost: items.length }, 'evidence could not be written before the end'),
      )
      .finally(() => {
        sending = undefined;
        if (items.length > 0 && !closed) start();
      });
  };

  return {
    get pending() {
      return items.length;
    },
    get count() {
      return count;
    },
    record: (draft, { timeoutMs = publishMs, onDurable } = {}) =>
      new Promise((resolve, reject) => {
        if (closed || items.length >= maxPending || disclosed >= maxDisclosedBytes)
          return reject(
            new AgentGateError(
              'EVIDENCE_UNAVAILABLE',
              closed ? 'the producer has stopped' : 'too much evidence waits to be written',
            ),
          );
        const disclosures = draft.disclosures?.map(disclosureText);
        const id = newId('evt', now());
        const chained = chain.next(toChained(draft, id, new Date(now()).toISOString()));
        const item = disclosures ? { ...chained, disclosures } : chained;
        disclosed += disclosedBytes([item]);
        const w: Waiting = { id, timeoutMs, settled: false, timer: undefined, resolve, reject, onDurable };
        w.timer = setTimeout(expire, timeoutMs, w);
        items.push(item);
        waiting.push(w);
        count++;
        start();
      }),
    close: async (timeoutMs = 2_000) => {
      const until = now() + timeoutMs;
      while ((items.length > 0 || sending) && now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
      closed = true;
      items.length = 0;
      for (const w of waiting.splice(0)) if (settle(w)) w.reject(late(timeoutMs));
    },
  };
};

/** Whether it was still waited for; from now on it is not. */
const settle = (w: Waiting): boolean => {
  if (w.settled) return false;
  w.settled = true;
  clearTimeout(w.timer);
  return true;
};
const expire = (w: Waiting) => {
  if (settle(w)) w.reject(late(w.timeoutMs));
};

const disclosedBytes = (items: readonly ChainItem[]): number => {
  let bytes = 0;
  for (const { disclosures = [] } of items) for (const text of disclosures) bytes += text.length;
  return bytes;
};

const toChained = <N extends EventName>(
  { name, subject, tenant, agent, session, data }: EventDraft<N>,
  id: string,
  time: string,
) => ({ id, type: eventType(name), subject, time, tenant, agent, session, data: data as Record<string, unknown> });
