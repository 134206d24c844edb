import { z } from 'zod';

const text = (max: number) => z.string().min(1).max(max);
export const pointer = z
  .string()
  .max(512)
  .regex(/^(\/([^~/]|~[01])*)*$/, 'must be a JSON pointer (RFC 6901)');
const scalar = z.union([z.string().max(4096), z.number(), z.boolean(), z.null()]);
const conditionShape = {
  under: text(4096).optional(),
  equals: scalar.optional(),
  one_of: z.array(scalar).min(1).max(1024).optional(),
  matches: text(1024).optional(),
  min: z.number().optional(),
  max: z.number().optional(),
  max_length: z.int().min(0).optional(),
  host_in: z.array(text(253)).min(1).max(1024).optional(),
  cidr_in: z.array(text(64)).min(1).max(1024).optional(),
  optional: z.boolean().optional(),
};
const member = z.strictObject(conditionShape);
/** What an argument must satisfy: all that is named must hold. `each` is about every member of an array. */
export const condition = z
  .strictObject({ ...conditionShape, each: member.optional() })
  .refine((c) => Object.keys(c).some((k) => k !== 'optional'), 'names no condition');
export type Condition = z.infer<typeof condition>;
