import { z } from 'zod';

const variables = z.object({
  /** The folder of the witness. */
  AGENTGATE_WITNESS_DIR: z.string().min(1).max(4096),
  AGENTGATE_HTTP_HOST: z.string().default('127.0.0.1'),
  AGENTGATE_HTTP_PORT: z.coerce.number().int().min(0).max(65_535).default(8790),
  AGENTGATE_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

/** What the witness is told where its environment starts it instead of a command line. */
export const readEnvironment = () => {
  const told = variables.parse(process.env);
  return {
    folder: told.AGENTGATE_WITNESS_DIR,
    host: told.AGENTGATE_HTTP_HOST,
    port: told.AGENTGATE_HTTP_PORT,
    level: told.AGENTGATE_LOG_LEVEL,
  };
};
