import { type EventData, type EventName, eventData, eventType, evidenceStream } from '@agentgate/contracts';
import { type EvidenceEvent, leafHash, type VerifiedEntry, verifyEntry } from '@agentgate/evidence';
import { eventually } from './eventually.ts';
import type { Stack } from './stack.ts';

export interface SealedEntry {
  index: number;
  subject: string;
  event: EvidenceEvent;
  verdict: ReturnType<typeof verifyEntry>;
  /** Whether header Ag-Leaf-Hash is the RFC 6962 leaf hash of the entry. */
  hashHolds: boolean;
  canonicalEvent: string;
}

/** Reads stream EVIDENCE with an auditor's credentials, and verifies each entry by nothing but the trusted keys. */
export interface EvidenceReader {
  entries(): SealedEntry[];
  all<N extends EventName>(name: N): (EvidenceEvent & { data: EventData<N> })[];
  /** Waits for the event with this id. */
  event<N extends EventName>(name: N, id: string | undefined): Promise<EvidenceEvent & { data: EventData<N> }>;
  close(): Promise<void>;
}

export const readEvidence = async (stack: Stack): Promise<EvidenceReader> => {
  const bus = await stack.connect('auditor');
  const entries: SealedEntry[] = [];
  const follower = await bus.follow(evidenceStream.name, {
    onMessage: ({ subject, data, header }) => {
      if (!/^evidence\.v1\.[^.]+\./.test(subject)) return;
      const text = new TextDecoder().decode(data);
      const verdict = verifyEntry(text, { keys: stack.trust });
      const event = (JSON.parse(text) as { event: EvidenceEvent }).event;
      const hash = Buffer.from(leafHash(text)).toString('hex');
      entries.push({
        index: Number(header('Ag-Index')),
        subject,
        event,
        verdict,
        hashHolds: header('Ag-Leaf-Hash') === hash,
        canonicalEvent: verdict.ok ? (verdict as VerifiedEntry).text : '',
      });
    },
  });
  const all: EvidenceReader['all'] = (name) =>
    entries
      .filter(({ event }) => event.type === eventType(name))
      .map(({ event }) => ({ ...event, data: eventData[name].parse(event.data) as never }));
  return {
    entries: () => entries,
    all,
    event: (name, id) => eventually(`${name} ${id} is in EVIDENCE`, () => all(name).find((e) => e.id === id)),
    close: () => follower.close(),
  };
};
