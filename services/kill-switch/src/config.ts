import { type BaseConfig, required } from '@agentgate/runtime';

export interface KillSwitchConfig {
  /** The file that holds the URL of Redis, where the view is. */
  redisUrlFile: string;
}

export const readConfig = (base: BaseConfig): KillSwitchConfig => ({
  redisUrlFile: required(base.AGENTGATE_REDIS_URL_FILE, 'AGENTGATE_REDIS_URL_FILE'),
});

export const env: Record<string, string | undefined> = process.env;
