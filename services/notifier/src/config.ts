import type { AlertSettings } from '@agentgate/contracts';
import { type BaseConfig, type Environment, readGateConfig } from '@agentgate/runtime';

export const readAlertSettings = (base: BaseConfig): AlertSettings => readGateConfig(base).alerts;

export const env: Environment = process.env;
