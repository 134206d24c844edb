import { readFileSync } from 'node:fs';
import { bearerIn } from '@agentgate/bus';
import { name as nameSchema } from '@agentgate/contracts';
import { z } from 'zod';
import { AgentGateClientError } from './error.ts';

/** Who connects, as the credentials themselves say. */
export interface Credentials {
  /** The text of the credentials file, or of the token's. */
  text: string;
  /** The user's own name: it stands in its subjects and its inbox. */
  name: string;
}

const claims = z.object({ name: nameSchema });
const invalid = (why: string, cause?: unknown) =>
  new AgentGateClientError('CREDENTIALS_INVALID', `credentials: ${why}`, { cause });

/** Takes the text of a NATS credentials file, or a bearer token, or the path of either. */
export const readCredentials = (textOrPath: string): Credentials => {
  const isText = bearerIn(textOrPath) !== undefined || textOrPath.includes('BEGIN NATS USER JWT');
  const text = isText ? textOrPath : readText(textOrPath);
  const jwt = bearerIn(text) ?? /-----BEGIN NATS USER JWT-----\s+(\S+)\s+-+END NATS USER JWT/.exec(text)?.[1];
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
