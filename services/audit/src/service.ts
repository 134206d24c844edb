import type { DisclosedEvent, Edge, KeyRing } from '@agentgate/evidence';
import type { Anomaly } from './anomaly.ts';
import { createAppender, type EntryTree, type Taken } from './appender.ts';
import { createHeldBatches } from './held-batches.ts';
import type { Incoming, LogStore } from './log-store.ts';
import { bundleStart } from './sequencer.ts';
import { createSilenceWatch } from './silent-producers.ts';
import { type VerifiedBatch, verifyBatch } from './verified-batch.ts';

export interface Audit<M extends Incoming> {
  /** Takes messages in one transaction. A throw means that the disk failed: nothing was taken, and going on is not safe. */
  take(messages: readonly M[]): Taken<M>;
  /** To be called each second: what waited for its predecessor for too long is taken without it. */
  tick(): Taken<M>;
  /** The connection broke or came back: everything that was not acknowledged comes again. */
  forgetHeld(): void;
  held(): number;
  /** Reports calls whose outcome was due well before `at`. Only valid once everything that was published by `at` was taken. */
  reportOrphans(at: number): Taken<M>;
  /** Reports producers that fell silent. To be called about each second, and only while everything that was published is taken. */
  reportSilent(): Taken<M>;
  /** Something that was noticed elsewhere. */
  report(anomaly: Anomaly): Taken<M>;
}

/** The log that the entries go to. */
export interface LogTree extends EntryTree {
  edge(): Edge;
  /** How much of it everybody can read. */
  published(): { size: number };
}

/** Where what opens digests is kept, apart from the log. Durable when it returns; what is there already, erased or not, stays as it is. */
export interface DisclosureKeeper {
  keep(disclosed: readonly DisclosedEvent[]): void;
}

export interface AuditOptions {
  store: LogStore;
  disclosures: DisclosureKeeper;
  tree: LogTree;
  keys: KeyRing;
  now: () => number;
  /** Seconds that a batch waits for the one before it: longer than two redeliveries of an unacknowledged message take. */
  graceTicks: number;
  /**
   * Batches that may wait at a time, once the grace after a start or a reconnect is over; below the consumer's bound on unacknowledged
   * messages, so that a producer of holes cannot stop the others.
   */
  maxHeld: number;
}

/** Published entries that stay in the database for EVIDENCE, which is a little behind. */
const keptEntries = 4_096;
const orphanGraceMs = 10_000;
const orphansATime = 256;

/**
 * The evidence log: verifies what producers sealed, puts it in order, appends it exactly once. A batch is judged by its signature and its place
 * in its producer's chain, never by its place in the stream: after a crash messages come again, and in another order.
 */
export const createAudit = <M extends Incoming>({
  store,
  disclosures,
  tree,
  keys,
  now,
  graceTicks,
  maxHeld,
}: AuditOptions): Audit<M> => {
  const held = createHeldBatches<M>({ graceTicks, maxHeld });
  const silence = createSilenceWatch();
  const appender = createAppender<M>({ store, tree, now });
  const nothing = (): Taken<M> => ({ settled: [], appended: 0, anomalies: [] });
  const inTransaction = (work: (taken: Taken<M>) => void): Taken<M> => {
    const taken = nothing();
    store.transaction(() => {
      work(taken);
      if (taken.appended > 0) store.setEdge(tree.edge());
      // Before the events are: a crash in between leaves disclosures that the same batch brings again, never events without theirs.
      const disclosed = appender.takeDisclosed();
      if (disclosed.length > 0) disclosures.keep(disclosed);
      store.prune(bundleStart(tree.published().size) - keptEntries);
    });
    return taken;
  };

  const append = (taken: Taken<M>, batch: VerifiedBatch<M>) => {
    appender.append(taken, batch);
    silence.heard(batch);
  };
  const isPremature = ({ source, epoch, first }: VerifiedBatch<M>) => first > (store.head(source, epoch)?.seq ?? 0) + 1;
  const takeMessage = (taken: Taken<M>, message: M) => {
    const batch = verifyBatch(message, keys);
    if ('kind' in batch) {
      appender.refuse(taken, message, batch);
      taken.settled.push(message);
    } else if (isPremature(batch)) held.add(batch);
    else append(taken, batch);
  };
  /** What was held and has its predecessor now. */
  const takeReady = (taken: Taken<M>) => {
    for (let ready = held.takeReady(store.head); ready; ready = held.takeReady(store.head)) append(taken, ready);
  };
  const takeExpired = (taken: Taken<M>) => {
    for (let expired = held.takeExpired(); expired; expired = held.takeExpired()) {
      append(taken, expired);
      takeReady(taken);
    }
  };

  return {
    take: (messages) =>
      inTransaction((taken) => {
        for (const message of messages) takeMessage(taken, message);
        takeReady(taken);
        takeExpired(taken);
      }),
    tick: () => {
      held.age();
      return held.hasExpired() ? inTransaction(takeExpired) : nothing();
    },
    forgetHeld: held.clear,
    held: held.size,
    reportOrphans: (at) => {
      const overdue = store.overdueCalls(at - orphanGraceMs, orphansATime);
      if (overdue.length === 0) return nothing();
      return inTransaction((taken) => {
        for (const { call, deadline, decided, ...who } of overdue) {
          const detail = `dispatched by ${decided} until ${new Date(deadline).toISOString()}, and no outcome is in evidence`;
          appender.report(taken, {
            kind: 'orphan',
            about: call,
            detail,
            key: `orphan ${call}`,
            toEvidence: true,
            ...who,
          });
          store.closeCall(call);
        }
      });
    },
    report: (anomaly) => inTransaction((taken) => appender.report(taken, anomaly)),
    reportSilent: () => {
      const silent = silence.tick(store.alive());
      if (silent.length === 0) return nothing();
      return inTransaction((taken) => {
        for (const producer of silent) {
          const { source, epoch } = producer;
          const detail = `no event after event ${store.head(source, epoch)?.seq ?? 0} of epoch ${epoch}, and none that says that it stops`;
          appender.report(taken, {
            kind: 'silent',
            about: source,
            detail,
            key: `silent ${source} ${epoch}`,
            toEvidence: true,
          });
          store.setAlive(producer, false);
        }
      });
    },
  };
};
