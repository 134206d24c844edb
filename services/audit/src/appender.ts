import { eventType } from '@agentgate/contracts';
import {
  type ChainHead,
  checkLink,
  type DisclosedEvent,
  type EvidenceEvent,
  encodeEntry,
  type LinkFailureCode,
  readDisclosures,
  type SealedEvent,
  sha256Hex,
  splitDisclosures,
} from '@agentgate/evidence';
import { type Anomaly, type AnomalyKind, aboutMax, detailMax } from './anomaly.ts';
import type { Incoming, LogStore, NewEntry } from './log-store.ts';
import { openingOf } from './open-calls.ts';
import type { Refusal, VerifiedBatch } from './verified-batch.ts';

/** What one transaction did. */
export interface Taken<M> {
  /** Durable, or refused and quarantined: these may be acknowledged. The others wait for what came before them. */
  settled: M[];
  appended: number;
  /** Those that were not known before. */
  anomalies: Anomaly[];
}

export interface Appender<M> {
  /** Appends each event at its place in its producer's chain; what is out of place is appended with an anomaly. */
  append(taken: Taken<M>, batch: VerifiedBatch<M>): void;
  refuse(taken: Taken<M>, message: M, why: Refusal): void;
  report(taken: Taken<M>, anomaly: Anomaly): void;
  /** What opens digests of the events that were appended since it was last asked. */
  takeDisclosed(): DisclosedEvent[];
}

/** What takes each entry's place in the tree. */
export interface EntryTree {
  push(entry: NewEntry): void;
}

export const createAppender = <M extends Incoming>({
  store,
  tree,
  now,
}: {
  store: LogStore;
  tree: EntryTree;
  now: () => number;
}): Appender<M> => {
  const disclosed: DisclosedEvent[] = [];
  const report = (taken: Taken<M>, anomaly: Anomaly) => {
    const { about, detail } = anomaly;
    const bounded = { ...anomaly, about: about.slice(0, aboutMax), detail: detail.slice(0, detailMax) };
    if (store.addAnomaly(bounded, now())) taken.anomalies.push(bounded);
  };
  const refuse = (taken: Taken<M>, message: M, { kind, about, detail }: Refusal) => {
    // What came beside it could never be erased from here.
    const { sealed: data } = splitDisclosures(message.data);
    const digest = sha256Hex(data);
    store.quarantine({ ...message, data }, { kind, digest, at: now() });
    const key = `${kind} ${about} ${digest}`;
    report(taken, { kind, about, detail: `${detail}; batch ${digest}`, key, toEvidence: !isOwn(message) });
  };

  /** False when it could not be appended, which is reported then. */
  const appendEvent = (work: Work<M>, { event, seal, text: eventText }: SealedEvent, eventHash: string): boolean => {
    const { taken, batch } = work;
    const { message, service } = batch;
    const entry = { ...encodeEntry(eventText, seal), event, eventHash };
    if (!store.append(entry)) {
      refuse(taken, message, { kind: 'id_reused', about: placeOf(event), detail: `another event has id ${event.id}` });
      return false;
    }
    tree.push(entry);
    taken.appended++;
    work.appended.add(event.id);
    if (event.type === startedType) store.setAlive(batch, true);
    else if (event.type === stoppedType) store.setAlive(batch, false);
    const opening = service === 'ingress' ? openingOf(event) : undefined;
    if (opening?.kind === 'open') store.openCall(opening.call);
    else if (opening?.kind === 'close') store.closeCall(opening.call);
    return true;
  };

  /** A verified event out of place. Returns the head after it. */
  const appendMisplaced = (work: Work<M>, sealed: SealedEvent, link: Misplaced): ChainHead | undefined => {
    const { taken, batch } = work;
    const { event } = sealed;
    const hash = sha256Hex(sealed.text);
    const about = placeOf(event);
    const tell = (kind: AnomalyKind) =>
      report(taken, { kind, about, detail: link.reason, key: `${kind} ${about}`, toEvidence: !isOwn(batch.message) });
    switch (link.code) {
      case 'REPEAT':
        return link.head;
      case 'REPEAT_OTHER_BYTES':
        // A place within an earlier hole is free: the event comes late, but is as good as the others.
        if (store.hashAt(batch.source, batch.epoch, event.producerseq) !== undefined) {
          refuse(taken, batch.message, { kind: 'repeat', about, detail: link.reason });
        } else if (appendEvent(work, sealed, hash)) tell('late');
        return link.head;
      case 'HOLE':
      case 'NEW_EPOCH_NOT_FIRST':
      case 'WRONG_PREV':
        appendEvent(work, sealed, hash);
        tell(link.code === 'WRONG_PREV' ? 'wrong_prev' : 'hole');
        return { epoch: batch.epoch, seq: event.producerseq, hash };
      default:
        return link.code satisfies never;
    }
  };

  /** Of events that were appended now: a repeat must not bring back what was erased meanwhile. */
  const takeDisclosures = ({ taken, batch, appended }: Work<M>) => {
    if (!batch.disclosures) return;
    const events = batch.events.map(({ event }) => event);
    const { kept, faults } = readDisclosures(batch.disclosures, events);
    disclosed.push(...kept.filter(({ event }) => appended.has(event.id)));
    // One, however many: whoever sends them must not fill the log with what is said of them.
    const [fault, ...more] = faults;
    if (!fault) return;
    const about = placeOf(fault.event ?? (events[0] as EvidenceEvent));
    const detail = more.length === 0 ? fault.reason : `${fault.reason}; and ${more.length} more in this batch`;
    const toEvidence = !isOwn(batch.message);
    report(taken, { kind: 'bad_disclosure', about, detail, key: `bad_disclosure ${about}`, toEvidence });
  };

  return {
    report,
    refuse,
    takeDisclosed: () => disclosed.splice(0),
    append: (taken, batch) => {
      const { source, epoch } = batch;
      const before = store.head(source, epoch);
      const hashAt = (seq: number) => store.hashAt(source, epoch, seq);
      const work = { taken, batch, appended: new Set<string>() };
      let head = before;
      for (const sealed of batch.events) {
        const link = checkLink(head && { ...head, hashAt }, sealed.event, sealed.text);
        if (link.ok) {
          appendEvent(work, sealed, link.head.hash);
          head = link.head;
        } else head = appendMisplaced(work, sealed, { ...link, head });
      }
      if (head && head !== before) store.setHead(source, head);
      takeDisclosures(work);
      taken.settled.push(batch.message);
    },
  };
};

const startedType = eventType('producer.started');
const stoppedType = eventType('producer.stopped');

interface Work<M> {
  taken: Taken<M>;
  batch: VerifiedBatch<M>;
  /** The ids of those of its events that were. */
  appended: Set<string>;
}

interface Misplaced {
  code: LinkFailureCode;
  reason: string;
  head: ChainHead | undefined;
}

const isOwn = ({ subject }: Incoming) => subject.endsWith('.audit');
const placeOf = (event: EvidenceEvent) => `${event.source} ${event.producerepoch} ${event.producerseq}`;
