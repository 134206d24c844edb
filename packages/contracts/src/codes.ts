import { z } from 'zod';

/** What became of a call (PROTOCOL.md, "Agents"). */
export const statuses = [
  'ok',
  'tool_error',
  'denied',
  'killed',
  'approval_required',
  'rate_limited',
  'invalid',
  'unavailable',
  'timeout',
  'cancelled',
  'outcome_unknown',
] as const;
export const status = z.enum(statuses);
export type Status = z.infer<typeof status>;

/** The closed list of reasons, for programs. */
export const codes = [
  'OK',
  'TOOL_ERROR',
  'NO_GRANT',
  'ARGUMENT_NOT_ALLOWED',
  'POLICY_DENIED',
  'POLICY_INVALID',
  'UNKNOWN_TOOL',
  'TOOL_QUARANTINED',
  'UNKNOWN_SESSION',
  'SESSION_EXPIRED',
  'KILLED_SESSION',
  'KILLED_AGENT',
  'KILLED_TOOL',
  'KILLED_TENANT',
  'KILLED_GLOBAL',
  'APPROVAL_REQUIRED',
  'APPROVAL_INVALID',
  'RATE_LIMITED',
  'OVERLOADED',
  'MALFORMED',
  'FIELD_INVALID',
  'KEY_REUSED',
  'CREDENTIAL_UNAVAILABLE',
  'POLICY_UNAVAILABLE',
  'KILL_SWITCH_UNAVAILABLE',
  'RUNNER_UNAVAILABLE',
  'BROKER_UNAVAILABLE',
  'EVIDENCE_UNAVAILABLE',
  'UPSTREAM_UNAVAILABLE',
  'TIMEOUT',
  'CANCELLED',
  'OUTCOME_UNKNOWN',
  'INTERNAL',
] as const;
export const code = z.enum(codes);
export type Code = z.infer<typeof code>;

/** Whether a code leaves the call `unavailable`: a needed part did not answer, or not in time, or not in form. */
export const isUnavailable = (c: Code): boolean => c.endsWith('_UNAVAILABLE') || c === 'OVERLOADED' || c === 'INTERNAL';

/** The reply's status for a call that did not reach a tool and was refused with this code. */
export const statusOfRefusal = (c: Code): Status => {
  if (c.startsWith('KILLED_')) return 'killed';
  if (isUnavailable(c)) return 'unavailable';
  switch (c) {
    case 'APPROVAL_REQUIRED':
      return 'approval_required';
    case 'RATE_LIMITED':
      return 'rate_limited';
    case 'MALFORMED':
    case 'FIELD_INVALID':
    case 'KEY_REUSED':
      return 'invalid';
    case 'TIMEOUT':
      return 'timeout';
    case 'CANCELLED':
      return 'cancelled';
    case 'OUTCOME_UNKNOWN':
      return 'outcome_unknown';
    default:
      return 'denied';
  }
};
