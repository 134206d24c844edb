import { z } from 'zod';

/** A name that becomes part of a NATS subject or a credential: tenants, agents, people, servers. `*`, dots and spaces are impossible. */
export const namePattern = /^[a-z0-9][a-z0-9_-]{0,62}$/;
export const name = z
  .string()
  .regex(namePattern, 'must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit');

const idOf = (prefix: string) =>
  z
    .string()
    .regex(new RegExp(`^${prefix}_[A-Za-z0-9_-]{10,64}$`), `must be ${prefix}_ and 10 to 64 of A-Z, a-z, 0-9, _ and -`);
export const sessionId = idOf('ses');
export const callId = idOf('call');
export const approvalId = idOf('apr');
export const eventId = idOf('evt');
export const exceptionId = idOf('exc');
export const permitId = idOf('prm');
export const incidentId = idOf('inc');
/** A legal hold on what is kept beside the evidence log. */
export const holdId = idOf('hold');
/** A person's token, as the broker keeps it for the sessions that were opened with it. */
export const subjectId = idOf('sub');

/** A tool's full name, `<server>/<tool>`; the tool's own part is whatever its server calls it, without spaces or control characters. */
export const toolName = z
  .string()
  .max(192)
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}\/[!-~]{1,128}$/, 'must be <server>/<tool>');

/** An instance of a service: unique per start, safe in a subject. */
export const instance = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/);

/** Milliseconds since the Unix epoch. */
export const epochMs = z.int().min(0);
/** RFC 3339 in UTC. */
export const timestamp = z.iso.datetime();
/** Lowercase hexadecimal SHA-256. */
export const digest = z.string().regex(/^[0-9a-f]{64}$/);
export const json = z.record(z.string(), z.unknown());

export const services = [
  'ingress',
  'policy',
  'kill-switch',
  'credential-broker',
  'tool-runner',
  'audit',
  'approvals',
  'sentinel',
  'notifier',
  'mcp-edge',
] as const;
export type ServiceName = (typeof services)[number];
export const serviceName = z.enum(services);

/** Bounds of every message that comes from outside (PROTOCOL.md). */
export const limits = {
  messageBytes: 256 * 1024,
  depth: 32,
  keysPerObject: 512,
  /** Arguments or results above this stand in evidence as a salted digest. */
  evidenceInlineBytes: 32 * 1024,
  keyLength: 128,
  purposeLength: 8192,
  /** Of a kill, a lift and what else an operator gives reasons for. */
  reasonLength: 512,
  /** The longest `timeout_ms` that a call may ask for, or a configuration give it. */
  callTimeoutMaxMs: 600_000,
  subjectTokenLength: 8192,
  permitTtlMs: 5_000,
  /** No permit is ever longer, whatever anybody configures. */
  permitTtlMaxMs: 30_000,
  /** A kill view that nobody vouched for within this time counts as killed. */
  killViewStaleMs: 3_000,
  sessionTtlMs: 24 * 60 * 60 * 1000,
  idempotencyTtlMs: 10 * 60 * 1000,
} as const;
