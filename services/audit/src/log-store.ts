import type { ChainHead, Edge, EncodedEntry, SealedEvent } from '@agentgate/evidence';
import type { Anomaly } from './anomaly.ts';

/** A batch as it lies in the AUDIT stream. NATS enforced who may publish to `subject`. */
export interface Incoming {
  subject: string;
  /** Its sequence in the stream. */
  seq: number;
  data: Uint8Array;
}

/** Its bytes are the canonical form of `{event, seal}`, at most 65,535. */
export interface NewEntry extends EncodedEntry {
  event: SealedEvent['event'];
  /** Hex SHA-256 of the event's canonical form: what the producer's next event names. */
  eventHash: string;
}

/** A dispatched call whose outcome is not in evidence. */
export interface OpenCall {
  call: string;
  /** Milliseconds since the epoch. */
  deadline: number;
  /** The id of the event that dispatched it. */
  decided: string;
  tenant?: string | undefined;
  agent?: string | undefined;
  session?: string | undefined;
}

/** One run of one instance of a service. */
export interface ProducerName {
  source: string;
  epoch: string;
}

/** The evidence log's disk. Everything that writes is called within `transaction`; nothing of one that throws stays. */
export interface LogStore {
  transaction<T>(work: () => T): T;
  head(source: string, epoch: string): ChainHead | undefined;
  setHead(source: string, head: ChainHead): void;
  hashAt(source: string, epoch: string, seq: number): string | undefined;
  /** Appends as the next index; false when there is an event of that id already, and nothing was written. */
  append(entry: NewEntry): boolean;
  /** What the tree is after the entries that were appended. */
  setEdge(edge: Edge): void;
  /** Entries before this one are published: their texts may go. */
  prune(before: number): void;
  /** Whether signs of life are expected of this producer. */
  setAlive(producer: ProducerName, alive: boolean): void;
  alive(): ProducerName[];
  /** True when the anomaly is new. */
  addAnomaly(anomaly: Anomaly, at: number): boolean;
  /** Keeps the bytes of a batch that was not appended, as long as there is room for it. */
  quarantine(message: Incoming, why: { kind: string; digest: string; at: number }): void;
  openCall(call: OpenCall): void;
  closeCall(call: string): void;
  overdueCalls(before: number, limit: number): OpenCall[];
}
