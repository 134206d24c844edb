import type { Log } from '@agentgate/bus';
import { AgentGateError } from '@agentgate/contracts';
import { createLevel } from './level.ts';
import type { Order, Orders } from './orders.ts';
import type { OrderStream, View } from './ports.ts';

/** Keeps the view in Redis equal to the KILL stream, and knows when it is not. */
export interface ViewSync {
  /** An order was followed; the view gets it in the background. */
  followed(order: Order | undefined, epoch: number): void;
  /** True while everything up to `confirmed()` is known to be in the view. */
  ready(): boolean;
  confirmed(): number;
  /** What was read shows that the view is not what it was: nothing is allowed until it is rebuilt. */
  suspect(why: string): void;
  /** Waits until the view holds this epoch. */
  settled(epoch: number, waitMs: number): Promise<boolean>;
  close(): void;
}

/** More than this behind: the view is rebuilt as a whole instead. */
const pendingMax = 1024;
const advanceMax = 256;
const backoffMs = { first: 100, most: 2_000 };

export interface ViewSyncDeps {
  view: View;
  orders: Orders;
  stream: Pick<OrderStream, 'leader'>;
  log: Log;
  /** So that a test need not wait. */
  backoff?: typeof backoffMs;
}

export const createViewSync = ({ view, orders, stream, log, backoff = backoffMs }: ViewSyncDeps): ViewSync => {
  let ready = false;
  let closed = false;
  let running = false;
  let wait = backoff.first;
  let wake: (() => void) | undefined;
  let pending: { order: Order | undefined; epoch: number }[] = [];
  /** Rises with every doubt: a rebuild that began before one does not end it. */
  let doubts = 0;
  const confirmed = createLevel();

  /**
   * The orders in memory are the stream, followed from its start. Before they are written, the stream's leader says how far they must reach. The
   * view's marker is read before that: should it be ahead of the leader, then acknowledged orders are gone from the stream, and nothing may be allowed.
   */
  const rebuild = async () => {
    const { marker } = await view.read([]);
    const leader = await stream.leader();
    if (marker?.stream === leader.stream && marker.epoch > leader.epoch) {
      throw unavailable(
        `the KILL stream ends at ${leader.epoch}, but orders up to ${marker.epoch} were acknowledged: orders are lost`,
      );
    }
    if (!(await orders.reached(leader.epoch, 1_000)))
      throw unavailable(`the KILL stream was followed to ${orders.epoch()} only, it ends at ${leader.epoch}`);
    const doubtsBefore = doubts;
    pending = [];
    const epoch = orders.epoch();
    if (!(await view.rebuild(orders.all(), epoch))) throw unavailable('the view was emptied while it was rebuilt');
    if (doubts !== doubtsBefore) return;
    ready = true;
    confirmed.raise(epoch);
    log.info({ epoch }, 'the kill view is rebuilt');
  };

  const advance = async () => {
    const next = pending.splice(0, advanceMax);
    const to = next.at(-1)?.epoch ?? confirmed.value();
    const news = next.flatMap(({ order }) => (order ? [order] : []));
    if (!(await view.advance(news, confirmed.value(), to))) throw unavailable('the view does not hold what it held');
    confirmed.raise(to);
  };

  const step = async () => {
    try {
      if (ready) await advance();
      else await rebuild();
      wait = backoff.first;
    } catch (error) {
      ready = false;
      log.warn({ err: error, retry_in_ms: wait }, 'the kill view is not usable: every call is refused');
      await pause(wait);
      wait = Math.min(wait * 2, backoff.most);
    }
  };
  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const doubt = () => {
    doubts++;
    ready = false;
    kick();
  };
  const run = async () => {
    while (!closed && (!ready || pending.length > 0)) await step();
    running = false;
  };
  const kick = () => {
    if (running || closed) return;
    running = true;
    run().catch((error: unknown) => log.error({ err: error }, 'the kill view is no longer kept'));
  };

  kick();
  return {
    followed: (order, epoch) => {
      pending.push({ order, epoch });
      if (pending.length > pendingMax) {
        pending = [];
        doubt();
      }
      kick();
    },
    ready: () => ready,
    confirmed: () => confirmed.value(),
    suspect: (why) => {
      if (ready) log.warn({ why }, 'the kill view is not what it was');
      doubt();
    },
    settled: (epoch, waitMs) => confirmed.reached(epoch, waitMs),
    close: () => {
      closed = true;
      wake?.();
    },
  };
};

const unavailable = (why: string) => new AgentGateError('KILL_SWITCH_UNAVAILABLE', why);
