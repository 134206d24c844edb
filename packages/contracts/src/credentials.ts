import { z } from 'zod';
import { name } from './names.ts';

// `credentials` of agentgate.yaml: where a credential comes from, and what may be made of it. No secret stands in the file itself.

const text = (max: number) => z.string().min(1).max(max);
const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/);

/** Where the broker reads a secret of its own: a file, a variable of its environment, or a credential that systemd hands it (`LoadCredential=`). */
export const secretSource = z.union([
  z.strictObject({ file: text(4096) }),
  z.strictObject({ env: variable }),
  z.strictObject({ systemd: z.string().regex(/^[A-Za-z0-9_.-]{1,255}$/) }),
]);
export type SecretSource = z.infer<typeof secretSource>;

const scope = z.string().max(1024);
/** One word of a scope: a rule that has one counts only for leases whose scope has it. */
const word = z
  .string()
  .regex(/^[\x21\x23-\x5B\x5D-\x7E]{1,128}$/, 'must be one word of a scope (RFC 6749, section 3.3)');
/** Where a secret goes, or keys come from. */
export const httpUrl = z
  .url({ protocol: /^https?$/ })
  .max(2048)
  .refine((u) => {
    const { username, password, protocol, hostname } = new URL(u);
    if (username !== '' || password !== '') return false;
    return protocol === 'https:' || ['127.0.0.1', '[::1]', 'localhost'].includes(hostname);
  }, 'must be https (http on this machine only), without a user or a password');

const every = {
  /** So long a lease lasts at most, in seconds. */
  ttl_s: z.int().min(5).max(3600).default(60),
  /** `session`: the calls of one session to one tool share a lease; each still needs a permit of its own. */
  reuse: z.enum(['call', 'session']).default('call'),
  /** Leases of this credential that may be out at once, whoever they are for. */
  max_leases: z.int().min(1).max(100_000).default(1_000),
};

/** The name of a table, a key, a subject … in which `{tenant}`, `{agent}`, `{session}` and `{person}` stand for whom the lease is for. */
const template = (max: number) => text(max).refine((t) => !/\p{Cc}/u.test(t), 'has control characters');

const staticSecret = z.strictObject({
  provider: z.literal('static'),
  from: secretSource,
  max_leases: every.max_leases,
});
const jwt = z.strictObject({
  provider: z.literal('jwt'),
  audience: text(512),
  scope: scope.optional(),
  /** `dpop`: the token is good only with proofs by a key that the lease holds (RFC 9449; `cnf`, RFC 7800). */
  bind: z.literal('dpop').optional(),
  ...every,
});
const privilege = z.enum(['select', 'insert', 'update', 'delete']);
const postgres = z.strictObject({
  provider: z.literal('postgres'),
  /** A libpq URL of a role that may create roles and grant what the rules grant. */
  admin: secretSource,
  rules: z
    .array(
      z
        .strictObject({
          scope: word.optional(),
          schema: template(63),
          tables: z.array(template(63)).min(1).max(256),
          /** Only these columns; goes with `select`, `insert` and `update`. */
          columns: z.array(template(63)).min(1).max(256).optional(),
          privileges: z.array(privilege).min(1).max(4),
        })
        .refine(
          (r) => r.columns === undefined || !r.privileges.includes('delete'),
          'delete cannot be narrowed to columns',
        ),
    )
    .min(1)
    .max(64),
  /** Connections that a lease may have open at once. */
  connections: z.int().min(1).max(100).default(2),
  ...every,
});
const redisAcl = z.strictObject({
  provider: z.literal('redis-acl'),
  /** A redis:// or rediss:// URL of a user that may use ACL and CLIENT. */
  admin: secretSource,
  rules: z
    .array(
      z.strictObject({
        scope: word.optional(),
        /** Patterns of Redis: `*` is any characters. */
        keys: z
          .array(template(512).refine((k) => !/\s/.test(k), 'has spaces'))
          .max(64)
          .default([]),
        channels: z
          .array(template(512).refine((k) => !/\s/.test(k), 'has spaces'))
          .max(64)
          .default([]),
        /** Commands (`get`, `client|id`) and categories (`@read`). */
        commands: z
          .array(z.string().regex(/^(@[a-z]+|[a-z][a-z0-9._-]*(\|[a-z][a-z0-9_-]*)?)$/))
          .min(1)
          .max(256),
      }),
    )
    .min(1)
    .max(64),
  ...every,
});
const client = z.strictObject({ id: text(256), secret: secretSource });
const oauth = {
  /** Its metadata is read from there (RFC 8414). */
  issuer: httpUrl,
  /** How the broker itself is known to it. */
  client,
  audience: text(512).optional(),
  resource: httpUrl.optional(),
  scope: scope.optional(),
  /** RFC 9396. */
  authorization_details: z
    .array(z.looseObject({ type: text(128) }))
    .min(1)
    .max(16)
    .optional(),
  bind: z.literal('dpop').optional(),
};
const tokenExchange = z.strictObject({
  provider: z.literal('oauth-token-exchange'),
  ...oauth,
  /** Whose token is exchanged: the agent's own, or that of the person it acts for, with the agent as actor (RFC 8693, section 4.1). */
  subject: z.enum(['agent', 'person']).default('agent'),
  ...every,
});
const clientCredentials = z.strictObject({ provider: z.literal('oauth-client-credentials'), ...oauth, ...every });
const natsUser = z.strictObject({
  provider: z.literal('nats-user'),
  servers: z.string().regex(/^(nats|tls|wss?):\/\/[^\s@]{1,512}$/, 'must be nats://host:port, without a user'),
  /** The seed of the account that the users are made in, or of one of its signing keys: then `account_id` says whose. */
  account: secretSource,
  account_id: z
    .string()
    .regex(/^A[A-Z2-7]{55}$/, 'must be the public key of an account')
    .optional(),
  /** The seed of the operator that signs the account's claims: an ended user is revoked in them. */
  operator: secretSource,
  /** The credentials file of a user of the system account. */
  system: secretSource,
  rules: z
    .array(
      z.strictObject({
        scope: word.optional(),
        publish: z
          .array(template(256).refine((s) => !/\s/.test(s), 'has spaces'))
          .max(64)
          .default([]),
        subscribe: z
          .array(template(256).refine((s) => !/\s/.test(s), 'has spaces'))
          .max(64)
          .default([]),
      }),
    )
    .min(1)
    .max(64),
  ...every,
});
const vault = z.strictObject({
  provider: z.literal('vault'),
  address: httpUrl,
  /** The broker's own token; it is renewed while it can be. */
  token: secretSource,
  namespace: text(256).optional(),
  /** Of a dynamic secret: `database/creds/readonly`. */
  path: z
    .string()
    .regex(/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_.-]+)+$/, 'must be <mount>/…/<role>')
    .max(512),
  /** Which field of the secret is `{secret}`; the others go by their own names. */
  field: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,63}$/)
    .default('password'),
  ...every,
});
const awsSts = z.strictObject({
  provider: z.literal('aws-sts'),
  region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/),
  role_arn: z.string().regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/),
  access: z.strictObject({ key_id: secretSource, secret_key: secretSource }),
  external_id: text(1224).optional(),
  /** The session's permissions are what both the role and this allow. */
  session_policy: z
    .looseObject({ Version: z.literal('2012-10-17'), Statement: z.array(z.unknown()).min(1) })
    .optional(),
  endpoint: httpUrl.optional(),
  /** AWS gives none for less than a quarter of an hour. */
  ttl_s: z.int().min(900).max(3600).default(900),
  reuse: every.reuse,
  max_leases: every.max_leases,
});

export const credential = z.discriminatedUnion('provider', [
  staticSecret,
  jwt,
  postgres,
  redisAcl,
  tokenExchange,
  clientCredentials,
  natsUser,
  vault,
  awsSts,
]);
export type Credential = z.infer<typeof credential>;
export type ProviderKind = Credential['provider'];
export type CredentialOf<K extends ProviderKind> = Extract<Credential, { provider: K }>;
export const providerKinds = credential.options.map((option) => option.shape.provider.value) as [
  ProviderKind,
  ...ProviderKind[],
];

/** What a format may name in braces. Undefined: whatever the secret turns out to hold. */
export const partsOf = (kind: ProviderKind): readonly string[] | undefined => {
  switch (kind) {
    case 'static':
    case 'jwt':
    case 'oauth-token-exchange':
    case 'oauth-client-credentials':
      return ['secret'];
    case 'postgres':
      return ['secret', 'url', 'host', 'port', 'database', 'user', 'password'];
    case 'redis-acl':
      return ['secret', 'url', 'host', 'port', 'user', 'password'];
    case 'nats-user':
      return ['secret', 'creds', 'servers', 'jwt', 'seed'];
    case 'aws-sts':
      return ['secret', 'key_id', 'secret_key', 'session_token', 'region'];
    case 'vault':
      return undefined;
    default:
      return kind satisfies never;
  }
};

/** What is made depends on the person whose token is exchanged, or whose name stands in a template. */
export const isForPerson = (credential: Credential): boolean =>
  (credential.provider === 'oauth-token-exchange' && credential.subject === 'person') ||
  JSON.stringify(
    'rules' in credential ? credential.rules : 'session_policy' in credential ? credential.session_policy : '',
  ).includes('{person}');

/** The scope of what a credential can give at most: its own, or the words of its rules. */
export const scopeOf = (credential: Credential): string | undefined => {
  if ('scope' in credential) return credential.scope;
  if (!('rules' in credential)) return undefined;
  const words = credential.rules.flatMap((rule) => rule.scope ?? []);
  return words.length > 0 ? [...new Set(words)].join(' ') : undefined;
};

/** The credential with each of the sources that the broker reads replaced by what `change` makes of it. */
export const mapSources = (credential: Credential, change: (source: SecretSource) => SecretSource): Credential => {
  switch (credential.provider) {
    case 'static':
      return { ...credential, from: change(credential.from) };
    case 'jwt':
      return credential;
    case 'postgres':
      return { ...credential, admin: change(credential.admin) };
    case 'redis-acl':
      return { ...credential, admin: change(credential.admin) };
    case 'oauth-token-exchange':
      return { ...credential, client: { ...credential.client, secret: change(credential.client.secret) } };
    case 'oauth-client-credentials':
      return { ...credential, client: { ...credential.client, secret: change(credential.client.secret) } };
    case 'nats-user': {
      const { account, operator, system } = credential;
      return { ...credential, account: change(account), operator: change(operator), system: change(system) };
    }
    case 'vault':
      return { ...credential, token: change(credential.token) };
    case 'aws-sts': {
      const { key_id, secret_key } = credential.access;
      return { ...credential, access: { key_id: change(key_id), secret_key: change(secret_key) } };
    }
    default:
      return credential satisfies never;
  }
};

export const sourcesOf = (credential: Credential): SecretSource[] => {
  const found: SecretSource[] = [];
  mapSources(credential, (source) => {
    found.push(source);
    return source;
  });
  return found;
};

// --- how a credential reaches its upstream ------------------------------------------------------------------------

const named = /\{([a-z][a-z0-9_]*)\}/g;
const format = z
  .string()
  .max(256)
  .regex(/\{[a-z][a-z0-9_]*\}/, 'names no part of the credential, such as {secret}')
  .default('{secret}');

export const inject = z.union([
  z.strictObject({ header: z.string().regex(/^[A-Za-z0-9-]{1,64}$/), format }),
  z.strictObject({ env: variable, format }),
  /** Several variables, each with its format. */
  z.strictObject({
    env: z.record(variable, format).refine((vars) => Object.keys(vars).length > 0, 'names no variable'),
  }),
  /** Of a call to a tool server on NATS. */
  z.strictObject({ field: name, format }),
  /** A key of `_meta` of an MCP call. */
  z.strictObject({ meta: z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$/), format }),
]);
export type Injection = z.infer<typeof inject>;

const formatsOf = (injection: Injection): string[] => {
  if ('env' in injection && typeof injection.env === 'object') return Object.values(injection.env);
  return 'format' in injection ? [injection.format] : [];
};

/** A part that a format names and this kind of credential does not have. */
export const unknownPart = (injection: Injection, kind: ProviderKind): string | undefined => {
  const known = partsOf(kind);
  return formatsOf(injection)
    .flatMap((f) => [...f.matchAll(named)].map(([, part]) => part as string))
    .find((part) => known !== undefined && !known.includes(part));
};

/** Throws the name of a part that the secret does not have. */
export const formatted = (format: string, parts: Readonly<Record<string, string>>): string =>
  format.replace(named, (_, part: string) => {
    const value = Object.hasOwn(parts, part) ? parts[part] : undefined;
    if (value === undefined) throw new Error(part);
    return value;
  });
