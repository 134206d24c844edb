import { type BaseConfig, required } from '@agentgate/runtime';

export interface AuditConfig {
  /** The folder of the evidence log. */
  folder: string;
}

/** Of what every service is told, audit needs the folder of its log; its second connection is the runtime's to make. */
export const readAuditConfig = (base: BaseConfig): AuditConfig => {
  required(base.AGENTGATE_AUDIT_CREDS, 'AGENTGATE_AUDIT_CREDS');
  return { folder: required(base.AGENTGATE_STATE_DIR, 'AGENTGATE_STATE_DIR') };
};

/** An unacknowledged batch comes again after the consumer's ack wait; its successor waits for two such times. */
export const graceTicks = (ackWaitMs: number): number => Math.ceil((2 * ackWaitMs) / 1_000) + 2;

export const env: Record<string, string | undefined> = process.env;
