import { z } from 'zod';
import { type SecretSource, secretSource } from './credentials.ts';
import { eventId, name, type ServiceName, timestamp } from './names.ts';

// Alerts: what the notifier tells webhooks of events in evidence (Standard Webhooks 1.0), and what operators ask of it.

/**
 * The events that are worth waking somebody, each with the only services whose word counts for it. One more line here is one more alert: the
 * consumer's filter, the endpoints' patterns and the check of who said it all follow from this list.
 */
export const alertEvents = {
  'kill.ordered': ['kill-switch'],
  'kill.failed': ['kill-switch'],
  'kill.lift_asked': ['kill-switch'],
  'kill.lifted': ['kill-switch'],
  'kill.contained': ['kill-switch'],
  'lease.irrevocable': ['credential-broker'],
  'approval.requested': ['approvals'],
  'tool.changed': ['tool-runner'],
  'tool.quarantined': ['tool-runner'],
  'incident.opened': ['sentinel'],
  'incident.contained': ['sentinel'],
  'incident.failed': ['sentinel'],
  'incident.released': ['sentinel'],
  'evidence.anomaly': ['audit'],
} as const satisfies Record<string, readonly ServiceName[]>;
export type AlertEvent = keyof typeof alertEvents;
export const alertEventNames = Object.keys(alertEvents) as AlertEvent[];

/** `kill.*` is every event that begins so, `*` is all. */
export const matchesEvent = (pattern: string, event: string): boolean =>
  pattern === '*' || pattern === event || (pattern.endsWith('.*') && event.startsWith(pattern.slice(0, -1)));

const eventPattern = z
  .string()
  .max(64)
  .refine(
    (pattern) => alertEventNames.some((event) => matchesEvent(pattern, event)),
    `matches no event: they are ${alertEventNames.join(', ')}, and *, kill.* and the like`,
  );

/** Each may have one name to look up that hangs, and the others must not notice (UV_THREADPOOL_SIZE of the notifier). */
export const maxAlertEndpoints = 16;
/** Where the key is that signs, unless an endpoint says otherwise. */
export const defaultAlertSecret: SecretSource = { env: 'AGENTGATE_WEBHOOK_SECRET' };

export const alertEndpoint = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/ })
      .max(2048)
      .refine((u) => {
        const { username, password, hash } = new URL(u);
        return username === '' && password === '' && hash === '';
      }, 'must not hold a user, a password or a fragment'),
    events: z.array(eventPattern).min(1).max(64).default(['*']),
    /** `whsec_` and 24 to 64 bytes in base64; never the secret itself. */
    secret: secretSource.default(defaultAlertSecret),
    /** While the receiver learns a new secret: each alert is signed with both. */
    previous_secret: secretSource.optional(),
    /** Its address may be one that is not on the public Internet. */
    allow_private: z.boolean().default(false),
    /** Alerts may go there unencrypted. */
    allow_http: z.boolean().default(false),
  })
  .refine((e) => e.allow_http || e.url.toLowerCase().startsWith('https:'), {
    path: ['url'],
    message: 'must be https, or allow_http must say that it need not be',
  });
export type AlertEndpoint = z.infer<typeof alertEndpoint>;

/** `alerts` in agentgate.yaml. */
export const alertSettings = z.strictObject({
  endpoints: z
    .record(name, alertEndpoint)
    .refine((all) => Object.keys(all).length <= maxAlertEndpoints, `more than ${maxAlertEndpoints} endpoints`)
    .default({}),
});
export type AlertSettings = z.infer<typeof alertSettings>;

export const mapAlertSources = (
  settings: AlertSettings,
  change: (source: SecretSource) => SecretSource,
): AlertSettings => ({
  ...settings,
  endpoints: Object.fromEntries(
    Object.entries(settings.endpoints).map(([at, { previous_secret: previous, ...endpoint }]) => [
      at,
      { ...endpoint, secret: change(endpoint.secret), ...(previous && { previous_secret: change(previous) }) },
    ]),
  ),
});
export const alertSources = (settings: AlertSettings): SecretSource[] =>
  Object.values(settings.endpoints).flatMap(({ secret, previous_secret: previous }) =>
    previous ? [secret, previous] : [secret],
  );

/**
 * One event for one endpoint: `<endpoint>/<event id>`. It is the webhook-id too, the same for each try, so a receiver knows what it had already;
 * a key of bucket ALERTS; and what operators call it.
 */
export const alertId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}\/evt_[A-Za-z0-9_-]{10,64}$/, 'must be <endpoint>/<event>, as `alerts` shows it');
export const alertIdOf = (endpoint: string, event: string): string => `${endpoint}/${event}`;

/** The value of a key of bucket ALERTS. */
export const alertRecord = z.strictObject({
  v: z.literal(1),
  id: alertId,
  endpoint: name,
  event: eventId,
  type: z.string().max(128),
  /** What is sent, and signed, at each try: `{type, timestamp, data}`. */
  body: z.string().max(20_480),
  state: z.enum(['waiting', 'delivered', 'dead']),
  /** Since when it is tried. */
  since: timestamp,
  tries: z.int().min(0),
  /** It is not tried before; written before each try, so that whoever dies in the middle of one leaves it to be tried again. */
  next_at: timestamp,
  /** When it was delivered or given up. */
  ended_at: timestamp.optional(),
  /** Why the last try failed. */
  problem: z.string().max(512).optional(),
});
export type AlertRecord = z.infer<typeof alertRecord>;

const v = z.literal(1);
export const alertsAsk = z.strictObject({ v, state: z.enum(['waiting', 'dead']).default('waiting') });
export const openAlert = alertRecord.pick({
  id: true,
  endpoint: true,
  event: true,
  type: true,
  state: true,
  since: true,
  tries: true,
  next_at: true,
  problem: true,
});
export type OpenAlert = z.infer<typeof openAlert>;
export const alertsAnswer = z.strictObject({
  v,
  endpoints: z.array(
    z.strictObject({
      endpoint: name,
      /** Without path and query: many services put a secret there. */
      origin: z.string().max(2048),
      events: z.array(z.string().max(64)),
      waiting: z.int().min(0),
      dead: z.int().min(0),
      /** Since when the oldest one waits. */
      oldest: timestamp.optional(),
    }),
  ),
  /** The oldest first; `more` are left out of the answer. */
  alerts: z.array(openAlert),
  more: z.int().min(1).optional(),
});
export type AlertsAnswer = z.infer<typeof alertsAnswer>;
/** Gives a dead alert another day; an endpoint's name stands for all of its dead ones. */
export const retryAlertAsk = z.strictObject({ v, alert: z.union([alertId, name]) });
export const retryAlertAnswer = z.strictObject({ v, retried: z.int().min(0) });
/** Sends one alert of type `agentgate.alert.test.v1`, once. */
export const testAlertAsk = z.strictObject({ v, endpoint: name });
export const testAlertAnswer = z.strictObject({
  v,
  ok: z.boolean(),
  id: z.string().max(160),
  ms: z.number().min(0),
  problem: z.string().max(512).optional(),
});
export type TestAlertAnswer = z.infer<typeof testAlertAnswer>;
