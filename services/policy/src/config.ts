import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgentGateError, type PolicySettings } from '@agentgate/contracts';
import { type Authors, parseAuthors, type Revision, revisionOfConfig, unenforceable } from '@agentgate/policy-engine';
import {
  type BaseConfig,
  type Environment,
  readGateConfig,
  readVariables,
  required,
  StartError,
} from '@agentgate/runtime';
import { z } from 'zod';

const policyVariables = z.object({
  /** The folder of the compiled policy; by default the one of this checkout. */
  AGENTGATE_POLICY_BUNDLE: z
    .string()
    .min(1)
    .max(4096)
    .default(() => fileURLToPath(new URL('../../../policies/bundle', import.meta.url))),
  /** policy-authors.json: whose signature makes a pushed bundle count. Without it none does. */
  AGENTGATE_POLICY_AUTHORS: z.string().min(1).max(4096).optional(),
});

export interface PolicyConfig {
  /** What agentgate.yaml says, with the compiled policy of the folder. */
  revision: Revision;
  authors: Authors;
  servers: ReadonlySet<string>;
  /** A policy is activated when two engineers ask for it. */
  dualControl: boolean;
  /** An exception counts when two operators ask for it. */
  dualExceptions: boolean;
  /** What the pack `dlp` looks for. */
  secrets: { name: string; bytes: Uint8Array }[];
  redisUrlFile: string;
}

export const env: Environment = process.env;

/** Throws StartError naming the variable, or the file, the line and the field. */
export const readPolicyConfig = (base: BaseConfig, env: Environment): PolicyConfig => {
  const { AGENTGATE_POLICY_BUNDLE: folder, AGENTGATE_POLICY_AUTHORS: authors } = readVariables(policyVariables, env);
  const gate = readGateConfig(base, unenforceable);
  return {
    revision: revisionOfConfig(gate, readWasm(folder)),
    authors: authors === undefined ? new Map() : readAuthors(authors),
    servers: new Set(Object.keys(gate.servers)),
    dualControl: gate.dual_control.includes('policy'),
    dualExceptions: gate.dual_control.includes('exception'),
    secrets: Object.entries(gate.policy.secrets).map(([name, from]) => readSecret(name, from, env)),
    redisUrlFile: required(base.AGENTGATE_REDIS_URL_FILE, 'AGENTGATE_REDIS_URL_FILE'),
  };
};

const readWasm = (folder: string): Uint8Array<ArrayBuffer> => {
  const file = join(folder, 'policy.wasm');
  try {
    return new Uint8Array(readFileSync(file));
  } catch {
    throw new StartError(`AGENTGATE_POLICY_BUNDLE: ${file} cannot be read`);
  }
};

const readAuthors = (file: string): Authors => {
  try {
    return parseAuthors(file, readFileSync(file, 'utf8'));
  } catch (error) {
    throw new StartError(
      error instanceof AgentGateError ? error.message : `AGENTGATE_POLICY_AUTHORS: ${file} cannot be read`,
    );
  }
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
