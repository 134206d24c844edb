import { readFileSync } from 'node:fs';
import { type Config, ConfigError, parseConfig } from '@agentgate/contracts';
import { type SigningKey, signingKeyFromSeed } from '@agentgate/evidence';
import { type BaseConfig, required, StartError } from '@agentgate/runtime';
import { z } from 'zod';

type Environment = Record<string, string | undefined>;

const brokerVariables = z.object({
  /** The seed that signs JWT credentials: 32 bytes in base64url. Needed only where a credential's provider is `jwt`. */
  AGENTGATE_JWT_KEY: z.string().min(1).max(4096).optional(),
  /** The `iss` of JWT credentials; by default where this service's HTTP port is. */
  AGENTGATE_JWT_ISSUER: z
    .url({ protocol: /^https?$/ })
    .max(2048)
    .optional(),
});

export interface BrokerConfig {
  credentials: Config['credentials'];
  jwt: { key: SigningKey; issuer: string } | undefined;
  /** The value of an environment variable that a static credential names. */
  environment: (name: string) => string | undefined;
}

export const env: Environment = process.env;

/** Throws StartError naming the variable or the file; nothing that a file holds is repeated. */
export const readBrokerConfig = (base: BaseConfig, env: Environment): BrokerConfig => {
  const parsed = brokerVariables.safeParse(env);
  if (!parsed.success)
    throw new StartError(`${parsed.error.issues[0]?.path.join('.')}: ${parsed.error.issues[0]?.message}`);
  const file = required(base.AGENTGATE_CONFIG, 'AGENTGATE_CONFIG');
  const { credentials } = readGateConfig(file);
  const environment = (name: string) => env[name];
  if (!Object.values(credentials).some(({ provider }) => provider === 'jwt'))
    return { credentials, environment, jwt: undefined };
  const seedFile = required(parsed.data.AGENTGATE_JWT_KEY, 'AGENTGATE_JWT_KEY');
  const issuer = parsed.data.AGENTGATE_JWT_ISSUER ?? `http://${base.AGENTGATE_HTTP_HOST}:${base.AGENTGATE_HTTP_PORT}`;
  return { credentials, environment, jwt: { key: readSeed(seedFile), issuer } };
};

const readGateConfig = (file: string): Config => {
  try {
    return parseConfig(readFileSync(file, 'utf8'), file);
  } catch (error) {
    throw new StartError(error instanceof ConfigError ? error.message : 'AGENTGATE_CONFIG: the file cannot be read');
  }
};

const readSeed = (file: string): SigningKey => {
  try {
    return signingKeyFromSeed(readFileSync(file, 'utf8').trim());
  } catch {
    // Without its cause: nothing about a seed goes anywhere.
    throw new StartError('AGENTGATE_JWT_KEY: the file does not hold a readable seed');
  }
};
