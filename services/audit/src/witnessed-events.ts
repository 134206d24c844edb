import { AgentGateError, type WitnessedEntry } from '@agentgate/contracts';
import { type EvidenceEvent, formatProof } from '@agentgate/evidence';
import type { LogProofs } from './log-proofs.ts';
import type { NewEntry } from './log-store.ts';
import type { CosignedCheckpoint } from './witnesses.ts';

export interface WitnessedEvents {
  /** An entry was appended. */
  onAppended(entry: Pick<NewEntry, 'event' | 'bytes'>, index: number): void;
  onCosigned(checkpoint: CosignedCheckpoint): void;
  /** Resolves once a cosigned checkpoint covers this event. Rejects EVIDENCE_UNAVAILABLE at the deadline. */
  wait(event: string, deadline: number): Promise<WitnessedEntry>;
  readonly waiting: number;
}

export interface WitnessedEventsOptions {
  proofs: Pick<LogProofs, 'inclusion'>;
  /** Undefined where witnesses are configured; else why nothing will be witnessed. */
  why?: string | undefined;
  now: () => number;
}

/** Decisions that are remembered: many more than can wait for witnesses within the life of a permit. */
const remembered = 4_096;
const maxWaiting = 4_096;

interface Place {
  text: string;
  index: number;
}

/**
 * Calls that may run only once witnesses saw their decision: who asks is told when that is so, and given what proves it. Whatever this
 * says is verified by the tool-runner. What was appended before this process started is not known here: such a call is denied.
 */
export const createWitnessedEvents = ({ proofs, why, now }: WitnessedEventsOptions): WitnessedEvents => {
  const places = new Map<string, Place>();
  const waiting = new Map<string, Set<() => void>>();
  let cosigned: CosignedCheckpoint | undefined;
  let count = 0;

  const look = (event: string): (Place & { checkpoint: CosignedCheckpoint }) | undefined => {
    const place = places.get(event);
    return place && cosigned && place.index < cosigned.size ? { ...place, checkpoint: cosigned } : undefined;
  };
  const prove = async ({ text, index, checkpoint }: Place & { checkpoint: CosignedCheckpoint }) => {
    try {
      const path = await proofs.inclusion(index, checkpoint.size);
      return { entry: text, proof: formatProof({ index, path, checkpoint: checkpoint.note }) };
    } catch (cause) {
      throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'the evidence log cannot prove the entry', { cause });
    }
  };
  const covered = (event: string, deadline: number) =>
    new Promise<void>((resolve, reject) => {
      const listeners = waiting.get(event) ?? new Set();
      waiting.set(event, listeners);
      count++;
      const end = () => {
        clearTimeout(timer);
        count--;
        listeners.delete(check);
        if (listeners.size === 0) waiting.delete(event);
      };
      const check = () => {
        if (!look(event)) return;
        end();
        resolve();
      };
      const timer = setTimeout(() => {
        end();
        const where = places.has(event) ? 'no quorum of witnesses has cosigned it' : 'it is not in the evidence log';
        reject(new AgentGateError('EVIDENCE_UNAVAILABLE', `the decision was not witnessed in time: ${where}`));
      }, deadline - now());
      listeners.add(check);
    });

  return {
    onAppended: ({ event, bytes }, index) => {
      if (!isWitnessed(event)) return;
      places.set(event.id, { text: Buffer.from(bytes).toString(), index });
      for (const [oldest] of places) {
        if (places.size <= remembered) break;
        places.delete(oldest);
      }
    },
    onCosigned: (checkpoint) => {
      cosigned = checkpoint;
      for (const listeners of [...waiting.values()]) for (const check of [...listeners]) check();
    },
    wait: async (event, deadline) => {
      if (why !== undefined) throw new AgentGateError('EVIDENCE_UNAVAILABLE', why);
      if (deadline <= now()) throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'the deadline passed');
      if (count >= maxWaiting) throw new AgentGateError('OVERLOADED', 'too many calls wait for witnesses');
      if (!look(event)) await covered(event, deadline);
      const found = look(event);
      if (!found) throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'the decision is not known any more');
      return prove(found);
    },
    get waiting() {
      return count;
    },
  };
};

/** Whether it decides a call which has to be witnessed. */
const isWitnessed = ({ data }: EvidenceEvent): boolean =>
  (data as { decision?: { obligations?: { witnessed?: unknown } | null } | null }).decision?.obligations?.witnessed ===
  true;
