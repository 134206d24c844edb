import { readFileSync } from 'node:fs';
import { name } from '@agentgate/contracts';
import { z } from 'zod';

// The recorded calls that are replayed. `{{name}}` in a result marks where somebody else's text stands; `vectors` says what stands
// there when nobody attacks.

const recordedCall = z.object({
  tool: z.string().regex(/^[!-~]{1,128}$/),
  args: z.record(z.string(), z.unknown()),
  /** What the tool answered, as text; null where it answered nothing. */
  result: z.unknown(),
  error: z.string().nullish(),
});
export type RecordedCall = z.infer<typeof recordedCall>;

const suite = z.object({
  tools: z.array(
    z.object({ name: z.string().max(128), description: z.string(), parameters: z.record(z.string(), z.unknown()) }),
  ),
  user_tasks: z.array(
    z.object({
      id: z.string(),
      prompt: z.string(),
      seen: z.array(z.string()).default([]),
      calls: z.array(recordedCall),
    }),
  ),
  injection_tasks: z.array(z.object({ id: z.string(), goal: z.string(), calls: z.array(recordedCall) })),
  vectors: z.record(z.string(), z.string()),
});
export type Suite = z.infer<typeof suite>;
export type UserTask = Suite['user_tasks'][number];
export type InjectionTask = Suite['injection_tasks'][number];
export type SuiteTool = Suite['tools'][number];

const suites = z.record(name, suite);
export type Suites = z.infer<typeof suites>;

export const readSuites = (file: string): Suites => {
  const parsed = suites.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (parsed.success) return parsed.data;
  const problem = parsed.error.issues[0];
  throw new Error(`${file}: ${problem?.path.join('.')}: ${problem?.message}`);
};

/** What stands in place of each mark. A mark that `texts` does not name stays as it is. */
export const fillMarks = (text: string, texts: Readonly<Record<string, string>>): string =>
  text.replace(/\{\{(\w+)\}\}/g, (mark, vector: string) =>
    Object.hasOwn(texts, vector) ? (texts[vector] ?? '') : mark,
  );

/** The same in every string of a value, keys included. */
export const fillValue = (value: unknown, texts: Readonly<Record<string, string>>): unknown => {
  if (typeof value === 'string') return fillMarks(value, texts);
  if (Array.isArray(value)) return value.map((member) => fillValue(member, texts));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [fillMarks(key, texts), fillValue(member, texts)]),
  );
};
