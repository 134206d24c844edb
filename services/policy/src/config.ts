import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Config, ConfigError, type PolicySettings, parseConfig } from '@agentgate/contracts';
import { type CompiledPolicy, compileGrants, createEgressScan, UnsafeCondition } from '@agentgate/policy-engine';
import { type BaseConfig, required, StartError } from '@agentgate/runtime';
import { z } from 'zod';

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
  settings: Pick<Config, 'tools' | 'policy'>;
  /** What the pack `dlp` looks for. */
  secrets: { name: string; bytes: Uint8Array }[];
  redisUrlFile: string;
}

export const env: Environment = process.env;

/** Throws StartError naming the variable, or the file, the grant and the field. */
export const readPolicyConfig = (base: BaseConfig, env: Environment): PolicyConfig => {
  const parsed = policyVariables.safeParse(env);
  if (!parsed.success) throw new StartError(`AGENTGATE_POLICY_BUNDLE: ${parsed.error.issues[0]?.message}`);
  const file = required(base.AGENTGATE_CONFIG, 'AGENTGATE_CONFIG');
  const gate = read(file, (text) => parseConfig(text, file));
  try {
    createEgressScan(gate.policy.egress);
  } catch (error) {
    if (error instanceof UnsafeCondition) throw new StartError(`${file}: policy: egress: ${error.message}`);
    throw error;
  }
  return {
    bundle: parsed.data.AGENTGATE_POLICY_BUNDLE,
    policy: read(file, () => compileGrants(gate)),
    servers: new Set(Object.keys(gate.servers)),
    settings: { tools: gate.tools, policy: gate.policy },
    secrets: Object.entries(gate.policy.secrets).map(([name, from]) => readSecret(name, from, env)),
    redisUrlFile: required(base.AGENTGATE_REDIS_URL_FILE, 'AGENTGATE_REDIS_URL_FILE'),
  };
};

/** A shorter one would be found by chance. */
const shortestSecret = 8;

const readSecret = (name: string, from: PolicySettings['secrets'][string], env: Environment) => {
  const field = `policy: secrets: ${name}`;
  const bytes = 'env' in from ? Buffer.from(env[from.env] ?? '') : readBytes(field, from.file);
  // A file ends in a line end that is not part of what it holds.
  const text = bytes.toString('latin1').replace(/[\r\n]+$/, '');
  if (text.length < shortestSecret) throw new StartError(`${field}: is absent or shorter than ${shortestSecret} bytes`);
  return { name, bytes: new Uint8Array(Buffer.from(text, 'latin1')) };
};

const readBytes = (field: string, file: string): Buffer => {
  try {
    return readFileSync(file);
  } catch {
    throw new StartError(`${field}: its file cannot be read`);
  }
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
