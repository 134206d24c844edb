import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ConfigError, parseConfig } from '@agentgate/contracts';
import { type BaseConfig, required, StartError } from '@agentgate/runtime';
import { z } from 'zod';
import { type CompiledPolicy, compileGrants } from './grants/compile.ts';

type Environment = Record<string, string | undefined>;

const policyVariables = z.object({
  /** The folder of the compiled policy; by default the one of this checkout. */
  AGENTGATE_POLICY_BUNDLE: z
    .string()
    .min(1)
    .max(4096)
    .default(() => fileURLToPath(new URL('../../../policies/bundle', import.meta.url))),
});

export interface PolicyConfig {
  bundle: string;
  policy: CompiledPolicy;
  servers: ReadonlySet<string>;
  redisUrlFile: string;
}

export const env: Environment = process.env;

/** Throws StartError naming the variable, or the file, the grant and the field. */
export const readPolicyConfig = (base: BaseConfig, env: Environment): PolicyConfig => {
  const parsed = policyVariables.safeParse(env);
  if (!parsed.success) throw new StartError(`AGENTGATE_POLICY_BUNDLE: ${parsed.error.issues[0]?.message}`);
  const file = required(base.AGENTGATE_CONFIG, 'AGENTGATE_CONFIG');
  const gate = read(file, (text) => parseConfig(text, file));
  return {
    bundle: parsed.data.AGENTGATE_POLICY_BUNDLE,
    policy: read(file, () => compileGrants(gate)),
    servers: new Set(Object.keys(gate.servers)),
    redisUrlFile: required(base.AGENTGATE_REDIS_URL_FILE, 'AGENTGATE_REDIS_URL_FILE'),
  };
};

const read = <T>(file: string, use: (text: string) => T): T => {
  try {
    return use(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error instanceof ConfigError)
      throw new StartError(error.message.startsWith(file) ? error.message : `${file}: ${error.message}`);
    throw new StartError('AGENTGATE_CONFIG: the file cannot be read');
  }
};
