import type { BucketRecords, HeldRecord } from '@agentgate/bus';
import type { EventDraft, IncidentRecord, killOrder } from '@agentgate/contracts';
import type { z } from 'zod';

// What the domain needs of the world outside. Each rejects with an AgentGateError when its part fails.

export type Held = HeldRecord<IncidentRecord>;
/** A record that is released goes by itself after 90 days. */
export type Records = Pick<BucketRecords<IncidentRecord>, 'create' | 'update' | 'read'>;

export type IncidentEvent =
  | 'incident.opened'
  | 'incident.contained'
  | 'incident.failed'
  | 'incident.noted'
  | 'incident.released';
export interface Evidence {
  record<N extends IncidentEvent>(draft: EventDraft<N>): Promise<string>;
}

/** Has the kill-switch carry out the one containment transaction, in the sentinel's name. */
export type Order = (
  ask: Omit<z.infer<(typeof killOrder)['ask']>, 'v'>,
) => Promise<Omit<z.infer<(typeof killOrder)['answer']>, 'v'>>;
