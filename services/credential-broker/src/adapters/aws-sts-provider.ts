import { Readable } from 'node:stream';
import type { AgentGateError, CredentialOf, SecretSource } from '@agentgate/contracts';
import { AssumeRoleCommand, type AssumeRoleCommandInput, STSClient, STSServiceException } from '@aws-sdk/client-sts';
import { z } from 'zod';
import { filled, type LeaseAtProvider, type LeaseOrder, type Provider, unavailable } from '../provider.ts';
import { bareCause } from './bare-cause.ts';

export interface AwsStsProviderOptions {
  credential: string;
  config: CredentialOf<'aws-sts'>;
  read: (source: SecretSource) => Promise<string>;
  now: () => number;
  log: { warn(fields: object, message: string): void };
}

const deadlineMs = 2_000;
const maxAnswerBytes = 64 * 1024;
/** AWS gives no session for less. */
const leastSeconds = 900;
/** Of a session policy as text (API reference of AssumeRole). */
const maxPolicyLength = 2048;
const sessionName = /^[\w+=,.@-]{2,64}$/;

const session = z.object({
  AccessKeyId: z.string().min(1).max(128),
  SecretAccessKey: z.string().min(1).max(1024),
  SessionToken: z.string().min(1),
  Expiration: z.date(),
});

/** A session of a role: AssumeRole of AWS STS (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html). */
export const createAwsStsProvider = ({ credential, config, read, now, log }: AwsStsProviderOptions): Provider => {
  if (config.session_policy === undefined)
    log.warn({ credential }, 'no session_policy narrows this credential: each lease has all that its role may do');

  const sessionNameOf = ({ agent }: LeaseOrder): string => {
    // `@` is in no agent's name, so that no two agents share one.
    const name = agent.length < 2 ? `${agent}@` : agent;
    if (!sessionName.test(name)) throw unavailable(credential, 'cannot be made for this agent: AWS takes no such name');
    return name;
  };

  const policyOf = (order: LeaseOrder): string | undefined => {
    if (config.session_policy === undefined) return undefined;
    const policy = JSON.stringify(filledThrough(config.session_policy, order));
    if (policy.length > maxPolicyLength)
      throw unavailable(credential, `has a session policy of more than ${maxPolicyLength} characters`);
    return policy;
  };

  const secretOf = (source: SecretSource): Promise<string> =>
    read(source).catch((error: unknown) => {
      throw unavailable(credential, "cannot be asked for: the broker's key for AWS cannot be read", bareCause(error));
    });

  const connect = async (): Promise<STSClient> => {
    const { key_id, secret_key } = config.access;
    const [accessKeyId, secretAccessKey] = await Promise.all([secretOf(key_id), secretOf(secret_key)]);
    const client = new STSClient({
      region: config.region,
      ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint }),
      credentials: { accessKeyId, secretAccessKey },
      maxAttempts: 1,
      requestHandler: { connectionTimeout: deadlineMs, requestTimeout: deadlineMs, throwOnRequestTimeout: true },
    });
    client.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        if (hasBody(result.response)) result.response.body = Readable.from(bounded(result.response.body));
        return result;
      },
      { step: 'deserialize', priority: 'low', name: 'boundedAnswer' },
    );
    return client;
  };

  const assume = async (input: AssumeRoleCommandInput) => {
    const client = await connect();
    // The handler's own timeouts end with the headers; this one bounds the body too.
    const deadline = AbortSignal.timeout(deadlineMs);
    try {
      return await client.send(new AssumeRoleCommand(input), { abortSignal: deadline });
    } catch (error) {
      throw failure(credential, error, deadline.aborted);
    } finally {
      client.destroy();
    }
  };

  return {
    kind: 'aws-sts',

    mint: async (order) => {
      const { Credentials } = await assume({
        RoleArn: config.role_arn,
        RoleSessionName: sessionNameOf(order),
        DurationSeconds: Math.max(leastSeconds, Math.ceil((order.expiresAt - now()) / 1000)),
        Policy: policyOf(order),
        ExternalId: config.external_id,
      });
      const parsed = session.safeParse(Credentials);
      if (!parsed.success) throw unavailable(credential, 'got an answer of another form from AWS');
      const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = parsed.data;
      return {
        parts: {
          secret: SecretAccessKey,
          secret_key: SecretAccessKey,
          key_id: AccessKeyId,
          session_token: SessionToken,
          region: config.region,
        },
        hidden: ['secret', 'secret_key', 'session_token'],
        expiresAt: Expiration.getTime(),
      };
    },

    /** AWS cannot take one session back: only a role's sessions all at once, by a policy on the role. So it ends when its time is over. */
    revoke: async () => {},

    probe: async (lease) => {
      const end = latestEnd(lease);
      const when = `${now() < end ? 'ends' : 'ended'} by itself at ${new Date(end).toISOString()} at the latest`;
      return { state: 'unprovable', detail: `AWS STS cannot take a session back; this one ${when}`, goodUntil: end };
    },

    close: async () => {},
  };
};

const latestEnd = ({ issuedAt, expiresAt }: LeaseAtProvider): number =>
  Math.max(expiresAt, issuedAt + leastSeconds * 1000);

/** Keys stay as they are: in a policy they are AWS's own words. */
const filledThrough = (value: unknown, order: LeaseOrder): unknown => {
  if (typeof value === 'string') return filled(value, order);
  if (Array.isArray(value)) return value.map((item) => filledThrough(item, order));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filledThrough(inner, order)]));
};

const tooLarge = 'AnswerTooLarge';

const hasBody = (response: unknown): response is { body: Readable } =>
  typeof response === 'object' && response !== null && 'body' in response && response.body instanceof Readable;

const bounded = async function* (body: Readable): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw Object.assign(new Error('too large'), { name: tooLarge });
    yield chunk;
  }
};

/** What AWS said stays out: of its error only the name goes into the cause. */
const failure = (credential: string, error: unknown, late: boolean): AgentGateError => {
  const cause = bareCause(error);
  if (error instanceof STSServiceException) return unavailable(credential, refusedWith(error), cause);
  if (error instanceof Error && error.name === tooLarge)
    return unavailable(credential, `got an answer of more than ${maxAnswerBytes} bytes from AWS`);
  if (late || cause.code === 'ETIMEDOUT')
    return unavailable(credential, `got no answer from AWS within ${deadlineMs} ms`, cause);
  return unavailable(
    credential,
    'cannot be asked for: AWS STS cannot be reached or does not answer as it should',
    cause,
  );
};

const refusedWith = ({ $metadata: { httpStatusCode = 0 } }: STSServiceException): string => {
  if (httpStatusCode >= 500) return `cannot be asked for: AWS STS is not available (HTTP ${httpStatusCode})`;
  if (httpStatusCode < 400) return `got an answer from AWS that does not help (HTTP ${httpStatusCode})`;
  return `is refused by AWS (HTTP ${httpStatusCode})`;
};
