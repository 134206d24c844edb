import { readFileSync } from 'node:fs';
import { name as nameSchema } from '@agentgate/contracts';
import { z } from 'zod';
import { AgentGateClientError } from './error.ts';

/** Who connects, as the credentials themselves say. */
export interface Credentials {
  /** The text of the credentials file. */
  text: string;
  /** The user's own name: it stands in its subjects and its inbox. */
  name: string;
}

const claims = z.object({ name: nameSchema });
const invalid = (why: string, cause?: unknown) =>
  new AgentGateClientError('CREDENTIALS_INVALID', `credentials: ${why}`, { cause });

/** Takes the text of a NATS credentials file, or the path of one. */
export const readCredentials = (textOrPath: string): Credentials => {
  const text = textOrPath.includes('BEGIN NATS USER JWT') ? textOrPath : readText(textOrPath);
  const jwt = /-----BEGIN NATS USER JWT-----\s+(\S+)\s+-+END NATS USER JWT/.exec(text)?.[1];
  const payload = jwt?.split('.')[1];
  if (payload === undefined) throw invalid('no NATS user is in them');
  let decoded: unknown;
  try {
    decoded = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  } catch (cause) {
    throw invalid('the user in them cannot be read', cause);
  }
  const parsed = claims.safeParse(decoded);
  if (!parsed.success) throw invalid('the user in them has no name that AgentGate gives', parsed.error);
  return { text, name: parsed.data.name };
};

const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw invalid(`${path} cannot be read`, cause);
  }
};
