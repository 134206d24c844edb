import type { Config } from '@agentgate/contracts';
import { type BaseConfig, type Environment, readGateConfig } from '@agentgate/runtime';

export const readApprovalsConfig = (base: BaseConfig): Config['approvals'] => readGateConfig(base).approvals;

export const env: Environment = process.env;
