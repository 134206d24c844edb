import { readFileSync } from 'node:fs';
import { type AlertSettings, ConfigError, parseConfig } from '@agentgate/contracts';
import { type BaseConfig, required, StartError } from '@agentgate/runtime';

/** Throws StartError naming the variable, or the file, line and key. */
export const readAlertSettings = (base: BaseConfig): AlertSettings => {
  const file = required(base.AGENTGATE_CONFIG, 'AGENTGATE_CONFIG');
  try {
    return parseConfig(readFileSync(file, 'utf8'), file).alerts;
  } catch (error) {
    if (error instanceof ConfigError) throw new StartError(error.message);
    throw new StartError('AGENTGATE_CONFIG: the file cannot be read');
  }
};

export const env: Record<string, string | undefined> = process.env;
