import { type Config, ConfigError, type Problem } from '@agentgate/contracts';
import { at, UnsafeCondition } from './conditions/verdict.ts';
import { compileGrants } from './grants/compile.ts';
import { createEgressScan } from './scan/egress.ts';

/**
 * What of a configuration could not be enforced safely, such as a pattern that is not RE2; undefined where all can. Whoever reads agentgate.yaml to
 * decide by it gives this to `parseConfig`, so that it is refused with its line and before anything starts.
 */
export const unenforceable = (config: Config): Problem | undefined => {
  try {
    compileGrants(config);
    at('policy', () => at('egress', () => createEgressScan(config.policy.egress)));
    return undefined;
  } catch (error) {
    const refused = error instanceof ConfigError ? error.cause : error;
    if (refused instanceof UnsafeCondition) return refused.problem;
    throw error;
  }
};
