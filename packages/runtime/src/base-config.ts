import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Config, ConfigError, type Problem, parseConfig } from '@agentgate/contracts';
import { z } from 'zod';

const path = z.string().min(1).max(4096);

/** What every service is told by its environment; the only place beside each service's config.ts where that is read. */
export const baseConfig = z.object({
  /** nats://host:port */
  AGENTGATE_NATS_URL: z.string().min(1),
  /** The service's own NATS credentials file. */
  AGENTGATE_NATS_CREDS: path,
  /** The seed with which the service signs its events. */
  AGENTGATE_KEY: path,
  /** trust.json: the public keys of all services. */
  AGENTGATE_TRUST: path,
  AGENTGATE_HTTP_HOST: z.string().default('127.0.0.1'),
  /** Health, metrics; 0 takes a free port. */
  AGENTGATE_HTTP_PORT: z.coerce.number().int().min(0).max(65_535).default(0),
  /** Unique per start: it names this producer and this enforcement point. */
  AGENTGATE_INSTANCE: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/)
    .default(() => randomBytes(6).toString('hex')),
  AGENTGATE_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** agentgate.yaml, for the services that read it. */
  AGENTGATE_CONFIG: path.optional(),
  /** A file that holds redis://user:password@host:port, for the services that use Redis. */
  AGENTGATE_REDIS_URL_FILE: path.optional(),
  /** Credentials of a second connection, in account AUDIT. */
  AGENTGATE_AUDIT_CREDS: path.optional(),
  /** witnesses.json, for the services that ask witnesses or believe them. */
  AGENTGATE_WITNESSES: path.optional(),
  /** The folder of what the service keeps on disk. */
  AGENTGATE_STATE_DIR: path.optional(),
});
export type BaseConfig = z.infer<typeof baseConfig>;

/** A service cannot start: the message names the variable, the file or the stream. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

export type Environment = Record<string, string | undefined>;

/** What a schema takes of the environment. Throws StartError naming the first variable that is wrong. */
export const readVariables = <T>(schema: z.ZodType<T>, env: Environment): T => {
  const parsed = schema.safeParse(env);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new StartError(`${issue?.path[0]?.toString() ?? 'environment'}: ${issue?.message ?? 'invalid'}`);
};

export const readBaseConfig = (env: Environment): BaseConfig => readVariables(baseConfig, env);

/** A value that a service cannot do without. */
export const required = <T>(value: T | undefined, variable: string): T => {
  if (value === undefined) throw new StartError(`${variable}: must be set`);
  return value;
};

/** agentgate.yaml, which AGENTGATE_CONFIG names; `problemOf` as of parseConfig. Throws StartError naming the variable, or the file, line and key. */
export const readGateConfig = (
  { AGENTGATE_CONFIG }: Pick<BaseConfig, 'AGENTGATE_CONFIG'>,
  problemOf?: (config: Config) => Problem | undefined,
): Config => {
  const file = required(AGENTGATE_CONFIG, 'AGENTGATE_CONFIG');
  try {
    return parseConfig(readFileSync(file, 'utf8'), file, problemOf);
  } catch (error) {
    throw new StartError(error instanceof ConfigError ? error.message : 'AGENTGATE_CONFIG: the file cannot be read');
  }
};
