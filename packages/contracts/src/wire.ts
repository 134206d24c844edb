import { z } from 'zod';
import { code } from './codes.ts';

/** The envelope of a batch contract: `n` is the item's number within its message. */
export const batchAsk = z.strictObject({
  v: z.literal(1),
  items: z
    .array(z.strictObject({ n: z.int().min(0), ask: z.unknown() }))
    .min(1)
    .max(512),
});
export const failure = z.strictObject({ code, reason: z.string().max(2048) });
export const batchAnswer = z.strictObject({
  v: z.literal(1),
  /** Only in the first answer of late work: so many items were taken over. */
  taken: z.int().min(0).optional(),
  items: z
    .array(z.strictObject({ n: z.int().min(0), answer: z.unknown().optional(), error: failure.optional() }))
    .max(512),
});
export type BatchAnswer = z.infer<typeof batchAnswer>;
/** In place of an answer of a request or broadcast contract. */
export const failureAnswer = z.strictObject({ v: z.literal(1), error: failure });
