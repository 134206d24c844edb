import { readFileSync } from 'node:fs';
import { isNoteName, type SigningKey, signingKeyFromSeed } from '@agentgate/evidence';
import { type BaseConfig, type Environment, readVariables, required, StartError } from '@agentgate/runtime';
import { z } from 'zod';

const path = z.string().min(1).max(4096).optional();
const auditVariables = z.object({
  /** The folder of the lock database: not one that is backed up and restored with the log. */
  AGENTGATE_LOG_LOCK_DIR: path,
  /** The seed of the key that signs checkpoints. */
  AGENTGATE_LOG_KEY: path,
  /** The log's name, as its checkpoints say it. */
  AGENTGATE_LOG_ORIGIN: z.string().max(255).refine(isNoteName, 'must be without spaces and pluses').optional(),
  /** What the deployment's key says of the keys of the services: a sealed batch a line. */
  AGENTGATE_KEY_EVENTS: path,
});

export interface AuditConfig {
  /** The folder of the evidence: the database, and the published log in `log`. */
  folder: string;
  lockFolder: string;
  witnessesFile: string;
  origin: string;
  logKey: SigningKey;
  keyEvents: readonly string[];
}

export const env: Environment = process.env;

/** Throws StartError naming the variable or the file. */
export const readAuditConfig = (base: BaseConfig, env: Environment): AuditConfig => {
  const told = readVariables(auditVariables, env);
  required(base.AGENTGATE_AUDIT_CREDS, 'AGENTGATE_AUDIT_CREDS');
  return {
    folder: required(base.AGENTGATE_STATE_DIR, 'AGENTGATE_STATE_DIR'),
    lockFolder: required(told.AGENTGATE_LOG_LOCK_DIR, 'AGENTGATE_LOG_LOCK_DIR'),
    witnessesFile: required(base.AGENTGATE_WITNESSES, 'AGENTGATE_WITNESSES'),
    origin: required(told.AGENTGATE_LOG_ORIGIN, 'AGENTGATE_LOG_ORIGIN'),
    logKey: signingKeyFromSeed(read('AGENTGATE_LOG_KEY', told.AGENTGATE_LOG_KEY).trim()),
    keyEvents: read('AGENTGATE_KEY_EVENTS', told.AGENTGATE_KEY_EVENTS)
      .split('\n')
      .filter((line) => line !== ''),
  };
};

const read = (variable: string, file: string | undefined): string => {
  try {
    return readFileSync(required(file, variable), 'utf8');
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`${variable}: the file cannot be read`);
  }
};

/** An unacknowledged batch comes again after the consumer's ack wait; its successor waits for two such times. */
export const graceTicks = (ackWaitMs: number): number => Math.ceil((2 * ackWaitMs) / 1_000) + 2;
