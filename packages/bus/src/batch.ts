import {
  AgentGateError,
  type BatchAnswer,
  type BatchContract,
  batchAnswer,
  batchAsk,
  createParser,
  parseField,
  toAgentGateError,
} from '@agentgate/contracts';
import type { Msg } from '@nats-io/transport-node';
import { decode, tellFailure, unavailable } from './codec.ts';
import { type Core, subjectMatcher } from './core.ts';
import { type Exchange, type Mux, nobodyListens } from './mux.ts';
import { overloaded } from './request.ts';

// Natural batching: alone, an item leaves at once; while messages are in flight, what arrives meanwhile leaves together.

/** Characters of items in one message; one larger item travels alone. */
const batchChars = 1024 * 1024;
/** Items that may wait on either side; beyond it the asker is told at once instead of queued. */
const maxWaiting = 16_384;

/** Late work says that it was taken over unless it is done by then. Two messages are in flight, so slow work still goes over fast. */
const takenAfterMs = 3;

/** It may wait long for its answer, and thousands do: it holds no more than that takes. */
interface Item<B> {
  /** The question, until it leaves. */
  text: string;
  timeoutMs: number;
  settled: boolean;
  /** Once it left: what ends with it. Before, it is undefined, and the item cannot have run. */
  onSettled: (() => void) | undefined;
  timer: NodeJS.Timeout | undefined;
  resolve(answer: B): void;
  reject(error: AgentGateError): void;
  onTaken: (() => void) | undefined;
}

export interface BatchedAsk {
  timeoutMs?: number;
  /** Late work only: the server took the item over. */
  onTaken?: () => void;
  /** Is given what takes the item back: true where it has not left, and then it never leaves. Once it has left, its answer is what counts. */
  onQueued?: (withdraw: () => boolean) => void;
}
export type Batcher<A, B> = (ask: A, opts?: BatchedAsk) => Promise<B>;

/** A batch contract as its asker needs it; `of` is the part that a failure names. */
export type Batched<A, B> = Pick<BatchContract<A, B>, 'subject' | 'answer' | 'items' | 'late' | 'timeoutMs'> & {
  of: string;
};

export const createBatcher = <A, B>(
  core: Core,
  contract: Batched<A, B>,
  { inFlight = 2 }: { inFlight?: number } = {},
): Batcher<A, B> => {
  const mux = contract.late ? core.lateMux(contract.subject) : core.mux;
  const read: Reader<B> = { batch: createParser(batchAnswer), answer: createParser(contract.answer) };
  const queue: Item<B>[] = [];
  let flying = 0;
  let scheduled = false;

  const sendAll = () => {
    scheduled = false;
    while (flying < inFlight && queue.length > 0) send();
  };
  const schedule = () => {
    if (scheduled || flying >= inFlight || queue.length === 0) return;
    scheduled = true;
    core.afterPoll(sendAll);
  };

  const send = () => {
    const items = takeBatch(queue, contract.items);
    if (items.length === 0) return;
    // What waited when the connection broke: the client would keep it for the next one, or drop it, and say nothing.
    if (!core.connected()) {
      for (const item of items) refuse(item, notConnected(contract));
      return;
    }
    flying++;
    const landed = () => {
      flying--;
      schedule();
    };
    sendBatch({ core, mux, contract, read, landed }, items);
  };
  const expire = (item: Item<B>) => refuse(item, silence(contract, item));

  // Nothing made in here may outlive it but the item: a closure would keep the question, too.
  return (ask, { timeoutMs = contract.timeoutMs, onTaken, onQueued } = {}) =>
    new Promise<B>((resolve, reject) => {
      if (queue.length >= maxWaiting) return reject(overloaded());
      if (!core.connected()) return reject(notConnected(contract));
      const item: Item<B> = {
        text: JSON.stringify(ask),
        timeoutMs,
        settled: false,
        onSettled: undefined,
        timer: undefined,
        resolve,
        reject,
        onTaken,
      };
      item.timer = setTimeout(expire, timeoutMs, item);
      queue.push(item);
      onQueued?.(withdrawalOf(item));
      schedule();
    });
};

const withdrawalOf =
  <B>(item: Item<B>) =>
  () => {
    if (item.onSettled || item.settled) return false;
    refuse(item, new AgentGateError('CANCELLED', 'it was ended before it was sent'));
    return true;
  };
const notConnected = ({ of }: { of: string }) => unavailable(of, 'cannot be reached: not connected to NATS');

/** Whether the item was open until now; from now on it is not. */
const settle = <B>(item: Item<B>): boolean => {
  if (item.settled) return false;
  item.settled = true;
  clearTimeout(item.timer);
  item.onSettled?.();
  return true;
};
const refuse = <B>(item: Item<B>, error: AgentGateError) => {
  if (settle(item)) item.reject(error);
};

const takeBatch = <B>(queue: Item<B>[], most: number): Item<B>[] => {
  const items: Item<B>[] = [];
  let chars = 0;
  let taken = 0;
  for (const item of queue) {
    if (items.length >= most || (items.length > 0 && chars + item.text.length > batchChars)) break;
    taken++;
    if (item.settled) continue;
    items.push(item);
    chars += item.text.length;
  }
  queue.splice(0, taken);
  return items;
};

interface Reader<B> {
  batch(value: unknown): BatchAnswer;
  answer(value: unknown): B;
}
interface Sending<A, B> {
  core: Core;
  mux: Mux;
  contract: Batched<A, B>;
  read: Reader<B>;
  /** Its place in flight is free again. */
  landed: () => void;
}

/** Late work that was handed over may have been done, so its silence is not a plain "unavailable". */
const silence = <A, B>(contract: Batched<A, B>, { onSettled, timeoutMs }: Item<B>) =>
  contract.late && onSettled
    ? new AgentGateError('OUTCOME_UNKNOWN', `${contract.of} did not answer within ${timeoutMs} ms; it may have run`)
    : unavailable(contract.of, `did not answer within ${timeoutMs} ms`);

const sendBatch = <A, B>({ core, mux, contract, read, landed }: Sending<A, B>, items: Item<B>[]): void => {
  let open: Exchange | undefined;
  let left = items.length;
  let isFlying = true;
  // Answered, timed out or failed: with its last item the exchange is over.
  const onSettled = () => {
    if (--left === 0) finish();
  };
  for (const item of items) item.onSettled = onSettled;
  const land = () => {
    if (!isFlying) return;
    isFlying = false;
    clearTimeout(lost);
    landed();
  };
  const finish = () => {
    open?.close();
    land();
  };
  const failAll = (error: AgentGateError) => {
    finish();
    for (const item of items) refuse(item, error);
  };
  // The items' own timers reject them; this one frees the place in flight and ends the exchange of what was never taken.
  const lost = setTimeout(() => {
    if (contract.late)
      failAll(
        new AgentGateError(
          'OUTCOME_UNKNOWN',
          `${contract.of} did not take the call over within ${contract.timeoutMs} ms; it may have run`,
        ),
      );
    else finish();
  }, contract.timeoutMs);
  open = mux.open((arrival) => {
    if (arrival === 'disconnected')
      return failAll(
        contract.late
          ? new AgentGateError('OUTCOME_UNKNOWN', `the connection to NATS broke; ${contract.of} may have run it`)
          : unavailable(contract.of, 'cannot be reached: the connection to NATS broke'),
      );
    if (nobodyListens(arrival)) return failAll(unavailable(contract.of, 'is not running'));
    if (!takeAnswers(contract, read, items, arrival.data))
      return failAll(unavailable(contract.of, 'gave a malformed answer'));
    land();
  });
  try {
    core.nc.publish(contract.subject, bytesOf(items), { reply: open.reply });
  } catch (cause) {
    failAll(unavailable(contract.of, 'cannot be reached', cause));
  }
};

/** More than what a message puts around each of its items. */
const itemBytes = 32;

/** The message, written as it is sent: put together as a text it would be made twice before. Its items need their texts no more. */
const bytesOf = <B>(items: Item<B>[]): Uint8Array => {
  const size = items.reduce((bytes, { text }) => bytes + itemBytes + Buffer.byteLength(text), itemBytes);
  const message = Buffer.allocUnsafe(size);
  let end = 0;
  let before = '{"v":1,"items":[{"n":';
  for (const [n, item] of items.entries()) {
    end += message.write(`${before}${n},"ask":`, end, 'latin1');
    end += message.write(item.text, end);
    item.text = '';
    before = '},{"n":';
  }
  end += message.write('}]}', end, 'latin1');
  return message.subarray(0, end);
};

/** Settles the items that a message answers; false when it is not in form. */
const takeAnswers = <B>({ of }: { of: string }, read: Reader<B>, items: Item<B>[], data: Uint8Array): boolean => {
  let body: BatchAnswer;
  try {
    body = read.batch(decode(data));
  } catch {
    return false;
  }
  if (body.taken !== undefined) for (const item of items) item.onTaken?.();
  for (const { n, answer, error } of body.items) {
    const item = items[n];
    if (!item) return false;
    if (!settle(item)) continue;
    if (error) item.reject(new AgentGateError(error.code, error.reason));
    else {
      try {
        item.resolve(read.answer(answer));
      } catch (cause) {
        item.reject(unavailable(of, 'gave a malformed answer', cause));
      }
    }
  }
  return true;
};

interface Asked<A> {
  n: number;
  ask?: A;
  error?: AgentGateError;
}

/** Takes a message apart: each item's question, or what is wrong with it. */
const createOpener = <A>(schema: BatchContract<A, never>['ask']): ((data: Uint8Array) => Asked<A>[]) => {
  const readBatch = createParser(batchAsk);
  const readAsk = createParser(schema);
  return (data) =>
    readBatch(decode(data)).items.map(({ n, ask }) => {
      try {
        return { n, ask: readAsk(ask) };
      } catch (error) {
        return { n, error: toAgentGateError(error) };
      }
    });
};

/** Serves a batch contract: one handler call a message, one answer an item in the same order. */
export const serveBatch = <A, B>(
  core: Core,
  contract: BatchContract<A, B>,
  handler: (asks: A[]) => Promise<(B | AgentGateError)[]>,
): void => {
  let waiting = 0;
  const openBatch = createOpener(contract.ask);
  const answer = async (msg: Msg): Promise<string> => {
    const asked = openBatch(msg.data);
    if (waiting + asked.length > maxWaiting) throw overloaded();
    waiting += asked.length;
    try {
      const good = asked.filter((a) => a.ask !== undefined);
      const answers = await handler(good.map((a) => a.ask as A));
      const byN = new Map(good.map((a, i) => [a.n, answers[i] ?? new AgentGateError('INTERNAL', 'internal error')]));
      return JSON.stringify({
        v: 1,
        items: asked.map((a) => wireAnswer(core, contract.subject, a.n, a.error ?? byN.get(a.n))),
      });
    } finally {
      waiting -= asked.length;
    }
  };
  const isOurs = subjectMatcher(contract.subject);
  core.nc.subscribe(contract.subject, {
    queue: contract.of,
    callback: (error, msg) => {
      if (error || !isOurs(msg.subject)) return;
      core.stats.requests++;
      answer(msg)
        .catch((cause: unknown) => failWhole(core, contract.subject, msg, cause))
        .then((text) => msg.respond(text))
        .catch((cause: unknown) =>
          core.log.error({ err: cause, subject: contract.subject }, 'an answer could not be sent'),
        );
    },
  });
};

const wireAnswer = (core: Core, subject: string, n: number, answer: unknown) =>
  answer instanceof Error ? { n, error: tellFailure(answer, core.log, subject) } : { n, answer };

/** Every item of a message whose handling failed as a whole gets the failure. */
const failWhole = (core: Core, subject: string, msg: Msg, cause: unknown): string => {
  core.stats.errors++;
  const error = tellFailure(cause, core.log, subject);
  const count = countItems(msg.data);
  return JSON.stringify({ v: 1, items: Array.from({ length: count }, (_, n) => ({ n, error })) });
};
const countItems = (data: Uint8Array): number => {
  try {
    return parseField(batchAsk, decode(data)).items.length;
  } catch {
    return 0;
  }
};

/** Serves late work: takes a message over at once, answers each item when it is done; what is done meanwhile leaves together. */
export const serveLate = <A, B>(
  core: Core,
  contract: Pick<BatchContract<A, B>, 'subject' | 'ask' | 'of'>,
  handler: (ask: A) => Promise<B>,
): void => {
  const isOurs = subjectMatcher(contract.subject);
  const openBatch = createOpener(contract.ask);
  core.nc.subscribe(contract.subject, {
    queue: contract.of,
    callback: (error, msg) => {
      if (error || !msg.reply || !isOurs(msg.subject)) return;
      core.stats.requests++;
      let asked: Asked<A>[];
      try {
        asked = openBatch(msg.data);
      } catch (cause) {
        msg.respond(failWhole(core, contract.subject, msg, cause));
        return;
      }
      const out = createOutbox(core, msg, contract.subject);
      let left = asked.length;
      // Fast tools have answered by then, and their answers say as much.
      const saysTaken = setTimeout(
        () => msg.respond(JSON.stringify({ v: 1, taken: asked.length, items: [] })),
        takenAfterMs,
      );
      const answered = (n: number, answer: unknown) => {
        if (--left === 0) clearTimeout(saysTaken);
        out(n, answer);
      };
      for (const { n, ask, error: refused } of asked) {
        if (ask === undefined) answered(n, refused);
        else
          handler(ask).then(
            (answer) => answered(n, answer),
            (cause: unknown) =>
              answered(n, cause instanceof Error ? cause : new AgentGateError('INTERNAL', 'internal error', { cause })),
          );
      }
    },
  });
};

const createOutbox = (core: Core, msg: Msg, subject: string) => {
  let ready: string[] = [];
  let chars = 0;
  const flush = () => {
    if (ready.length === 0) return;
    const text = `{"v":1,"items":[${ready.join(',')}]}`;
    ready = [];
    chars = 0;
    try {
      msg.respond(text);
    } catch (cause) {
      core.log.error({ err: cause, subject }, 'an answer could not be sent');
    }
  };
  return (n: number, answer: unknown) => {
    const text = JSON.stringify(wireAnswer(core, subject, n, answer));
    if (ready.length > 0 && chars + text.length > batchChars) flush();
    if (ready.length === 0) core.afterPoll(flush);
    ready.push(text);
    chars += text.length;
  };
};
