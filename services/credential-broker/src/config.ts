import { readFileSync } from 'node:fs';
import type { Config } from '@agentgate/contracts';
import {
  type BaseConfig,
  type Environment,
  readGateConfig,
  readVariables,
  required,
  StartError,
} from '@agentgate/runtime';
import { z } from 'zod';
import { parseJwtKeys } from './adapters/jwt-keys.ts';
import { keyBytes } from './secrets.ts';

const brokerVariables = z.object({
  /** The file of the broker's own key: 32 bytes in base64url. Replicas share it; passwords of leases follow from it. */
  AGENTGATE_BROKER_KEY: z.string().min(1).max(4096).optional(),
  /** The file of the keys that sign JWT credentials and the agents' own tokens: one a line, a seed of 32 bytes in base64url and the time from which it signs. */
  AGENTGATE_JWT_KEY: z.string().min(1).max(4096).optional(),
  /** The `iss` of JWT credentials; by default where this service's HTTP port is. */
  AGENTGATE_JWT_ISSUER: z
    .url({ protocol: /^https?$/ })
    .max(2048)
    .optional(),
});

export interface BrokerConfig {
  credentials: Config['credentials'];
  subjectTokens: Config['subject_tokens'];
  brokerKey: Uint8Array;
  jwt: { keyFile: string; issuer: string };
  /** The value of an environment variable that a credential names. */
  environment: (name: string) => string | undefined;
}

export const env: Environment = process.env;

/** Throws StartError naming the variable or the file; nothing that a file holds is repeated. */
export const readBrokerConfig = (base: BaseConfig, env: Environment): BrokerConfig => {
  const told = readVariables(brokerVariables, env);
  const { credentials, subject_tokens: subjectTokens } = readGateConfig(base);
  const keyFile = required(told.AGENTGATE_JWT_KEY, 'AGENTGATE_JWT_KEY');
  refuseUnreadable('AGENTGATE_JWT_KEY', () => parseJwtKeys(readFileSync(keyFile, 'utf8')));
  return {
    credentials,
    subjectTokens,
    brokerKey: readKey(required(told.AGENTGATE_BROKER_KEY, 'AGENTGATE_BROKER_KEY')),
    jwt: {
      keyFile,
      issuer: told.AGENTGATE_JWT_ISSUER ?? `http://${base.AGENTGATE_HTTP_HOST}:${base.AGENTGATE_HTTP_PORT}`,
    },
    environment: (name) => env[name],
  };
};

const readKey = (file: string): Uint8Array =>
  refuseUnreadable('AGENTGATE_BROKER_KEY', () => {
    const key = Buffer.from(readFileSync(file, 'utf8').trim(), 'base64url');
    if (key.length !== keyBytes) throw new Error('of another length');
    return key;
  });

/** Without its cause: nothing about a seed goes anywhere. */
const refuseUnreadable = <T>(variable: string, read: () => T): T => {
  try {
    return read();
  } catch {
    throw new StartError(`${variable}: the file does not hold a readable seed`);
  }
};
