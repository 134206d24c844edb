import type { z } from 'zod';
import { takesAsIs } from './as-is.ts';
import { AgentGateError } from './error.ts';

type Issue = z.core.$ZodIssue;

/** Where a value is wrong, by keys from the outside in, and how. */
export interface Problem {
  path: string[];
  message: string;
}

/** Of a union, what is wrong in the form that the value comes closest to; of a key that may not be, why. */
const closest = (issue: Issue): Issue => {
  if (issue.code === 'invalid_key') return { ...issue, message: issue.issues[0]?.message ?? issue.message };
  if (issue.code !== 'invalid_union') return issue;
  const [nearest] = [...issue.errors].sort((a, b) => a.length - b.length);
  const inner = nearest && foremost(nearest);
  return inner ? { ...inner, path: [...issue.path, ...inner.path] } : issue;
};

/** A field that is unknown goes before one that is missing beside it: the one is mostly the other, misspelt. */
const foremost = (issues: readonly Issue[]): Issue | undefined => {
  const [first] = issues;
  const beside = first?.path.slice(0, -1).join('/');
  const unknown = issues.find(({ code, path }) => code === 'unrecognized_keys' && path.join('/') === beside);
  const issue = unknown ?? first;
  return issue && closest(issue);
};

/** The first problem of a refused value. */
export const firstProblemOf = (error: z.ZodError): Problem => {
  const issue = foremost(error.issues);
  if (!issue) return { path: [], message: 'invalid' };
  const path = issue.path.map(String);
  return issue.code === 'unrecognized_keys'
    ? { path: [...path, ...issue.keys.slice(0, 1)], message: 'unknown field' }
    : { path, message: issue.message };
};

/** With its field as a JSON pointer: `/arguments/path: …`. */
export const tellProblem = ({ path, message }: Problem): string => {
  const pointer = path.map((p) => `/${p.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
  return `${pointer || '/'}: ${message}`;
};
export const firstProblem = (error: z.ZodError): string => tellProblem(firstProblemOf(error));

/** As parseField, for what JSON.parse made of messages by the thousand: the value itself where it is as it should be. */
export const createParser = <T>(schema: z.ZodType<T>): ((value: unknown) => T) => {
  const isTaken = takesAsIs(schema);
  return (value) => (isTaken(value) ? (value as T) : parseField(schema, value));
};

/** Parses at the edge: the value, or FIELD_INVALID naming the field. */
export const parseField = <T>(schema: z.ZodType<T>, value: unknown): T => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AgentGateError('FIELD_INVALID', firstProblem(parsed.error));
};
