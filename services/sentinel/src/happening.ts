import type { RiskSignal, TellingCode } from '@agentgate/contracts';

/** Whose doing an event tells of. `session` stands only where the event shows that the session is this agent's own. */
export interface Doer {
  tenant: string;
  agent: string;
  session?: string;
}

/** What a verified event says that a rule may ask for. Who did it is what NATS enforced; nothing that an agent wrote can name another. */
export type Happening = { id: string; at: number } & (
  | { kind: 'decided'; by: Doer; tool: string; refused?: TellingCode; baits: string[] }
  | { kind: 'leased'; by: Doer; credential: string }
  | { kind: 'completed'; by: Doer; tool: string; failed: boolean; risk: RiskSignal[] }
  | { kind: 'approval_rejected'; by: Doer }
  | { kind: 'anomaly'; by: Doer; anomaly: string }
  | { kind: 'lifted'; scope: string }
);
