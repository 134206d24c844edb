import type { z } from 'zod';
import { AgentGateError } from './error.ts';

/** The first problem of a refused value, with its field as a JSON pointer: `/arguments/path: …`. */
export const firstProblem = (error: z.ZodError): string => {
  const issue = error.issues[0];
  if (!issue) return '/: invalid';
  const deepest = issue.code === 'invalid_union' ? (issue.errors[0]?.[0] ?? issue) : issue;
  const path = deepest === issue ? issue.path : [...issue.path, ...deepest.path];
  const keys = deepest.code === 'unrecognized_keys' ? deepest.keys.slice(0, 1) : [];
  const pointer = [...path, ...keys].map((p) => `/${String(p).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
  return `${pointer || '/'}: ${keys.length > 0 ? 'unknown field' : deepest.message}`;
};

/** Parses at the edge: the value, or FIELD_INVALID naming the field. */
export const parseField = <T>(schema: z.ZodType<T>, value: unknown): T => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AgentGateError('FIELD_INVALID', firstProblem(parsed.error));
};
