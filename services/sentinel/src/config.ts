import { readFileSync } from 'node:fs';
import type { Config } from '@agentgate/contracts';
import {
  type BaseConfig,
  type Environment,
  readGateConfig,
  required,
  StartError,
  spellingsOf,
} from '@agentgate/runtime';
import type { Bait } from './read-event.ts';

export const env: Environment = process.env;

export interface SentinelConfig {
  containment: Config['containment'];
  baits: Bait[];
  evidenceCreds: string;
}

/** Something shorter would be found by chance. */
const baitCharsMin = 8;

/** Throws StartError naming the variable, or the file, line and key. */
export const readConfig = (base: BaseConfig): SentinelConfig => {
  const evidenceCreds = required(base.AGENTGATE_AUDIT_CREDS, 'AGENTGATE_AUDIT_CREDS');
  const { containment } = readGateConfig(base);
  return { containment, baits: containment.canaries.flatMap(baitsOf), evidenceCreds };
};

const baitsOf = ({ id, values = {} }: Config['containment']['canaries'][number]): Bait[] =>
  Object.entries(values).map(([name, source]) => {
    const at = `containment.canaries: ${id}: values.${name}`;
    const value = ('env' in source ? env[source.env] : read(source.file, at))?.trim();
    if (value === undefined) throw new StartError(`${at}: the variable is not set`);
    if (value.length < baitCharsMin)
      throw new StartError(`${at}: is shorter than ${baitCharsMin} characters, and would be found by chance`);
    return { name: `${id}/${name}`, spellings: spellingsOf(value) };
  });
const read = (file: string, at: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new StartError(`${at}: the file cannot be read`);
  }
};
