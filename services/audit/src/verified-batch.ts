import { deploymentProducer, eventSource, type ServiceName, serviceName } from '@agentgate/contracts';
import { type KeyRing, openBatch, type SealedEvent, splitDisclosures } from '@agentgate/evidence';
import { z } from 'zod';
import type { AnomalyKind } from './anomaly.ts';
import type { Incoming } from './log-store.ts';

export interface VerifiedBatch<M> {
  message: M;
  /** Who signed, and who published: the same. */
  service: ServiceName | typeof deploymentProducer;
  source: string;
  epoch: string;
  /** The place of its first event in the producer's chain. */
  first: number;
  events: SealedEvent[];
  /** What came beside it to open its digests; not sealed, and not looked at yet. */
  disclosures: Uint8Array | undefined;
}

export interface Refusal {
  kind: AnomalyKind;
  about: string;
  detail: string;
}

/** Over NATS nobody may speak for the deployment: its batches come from a file. */
const producerName = z.union([serviceName, z.literal(deploymentProducer)]);

/** Verifies form and signature, and that the service which NATS let publish here is the one that signed. */
export const verifyBatch = <M extends Incoming>(message: M, keys: KeyRing): VerifiedBatch<M> | Refusal => {
  const about = message.subject;
  const service = producerName.safeParse(message.subject.split('.').at(-1));
  if (!service.success) return { kind: 'wrong_subject', about, detail: 'no service publishes here' };
  const { sealed, disclosures } = splitDisclosures(message.data);
  const opened = openBatch(sealed, keys);
  if (!opened.ok) {
    return { kind: opened.code.toLowerCase() as Lowercase<typeof opened.code>, about, detail: opened.reason };
  }
  const { source, epoch, entries: events } = opened;
  if (!source.startsWith(eventSource(service.data, ''))) {
    return { kind: 'wrong_subject', about, detail: `a batch of ${source}` };
  }
  const first = events[0]?.event.producerseq ?? 1;
  return { message, service: service.data, source, epoch, first, events, disclosures };
};
