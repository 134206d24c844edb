import type { z } from 'zod';

type Check = (value: unknown) => boolean;

/**
 * Whether a schema takes a value that JSON.parse made, and would give an equal one: a yes is zod's yes. A no says nothing; then zod is to be
 * asked, and names the fault. Zod makes an object for each field that it looks at and a copy of all that it takes, which for messages by the
 * thousand costs a sixth of what a service allocates. Whatever zod can do that is not understood here is never taken.
 */
export const takesAsIs = (schema: z.core.$ZodType): Check => {
  const def = (schema as z.core.$ZodTypes)._zod.def;
  const isRefined = (def.checks?.length ?? 0) > 0;
  if (isRefined && def.type !== 'string' && def.type !== 'number' && def.type !== 'array') return never;
  switch (def.type) {
    case 'unknown':
      return always;
    case 'boolean':
      return def.coerce ? never : (value) => typeof value === 'boolean';
    case 'literal':
      return oneOf(def.values);
    case 'enum':
      return oneOf(Object.values(def.entries));
    case 'string':
      return 'check' in def || def.coerce ? never : stringCheck(def.checks ?? []);
    case 'number':
      return def.coerce ? never : numberCheck(def);
    case 'optional':
      // What is absent is its object's to judge.
      return takesAsIs(def.innerType);
    case 'array':
      return arrayCheck(takesAsIs(def.element), def.checks ?? []);
    case 'object':
      return objectCheck(def.shape);
    case 'record':
      return isAnyRecord(def) ? isPlainRecord : never;
    case 'custom':
      return (value) => (def.fn as Check)(value) === true;
    default:
      return never;
  }
};

const always: Check = () => true;
const never: Check = () => false;

const oneOf = (values: readonly unknown[]): Check => {
  const [only] = values;
  if (!values.every((value) => ['string', 'number', 'boolean'].includes(typeof value))) return never;
  if (values.length === 1) return (value) => value === only;
  const all = new Set(values);
  return (value) => all.has(value);
};

type Checks = readonly z.core.$ZodCheck<never>[];
const defsOf = (checks: Checks) => checks.map((check) => check._zod.def as z.core.$ZodChecks['_zod']['def']);

const lengthOf = (checks: Checks) => {
  let min = 0;
  let max = Number.POSITIVE_INFINITY;
  const others: z.core.$ZodChecks['_zod']['def'][] = [];
  for (const def of defsOf(checks)) {
    if (def.check === 'min_length') min = Math.max(min, def.minimum);
    else if (def.check === 'max_length') max = Math.min(max, def.maximum);
    else others.push(def);
  }
  return { min, max, others };
};

const stringCheck = (checks: Checks): Check => {
  const { min, max, others } = lengthOf(checks);
  const patterns: RegExp[] = [];
  for (const def of others) {
    const pattern = def.check === 'string_format' && def.format === 'regex' ? def.pattern : undefined;
    // One that remembers where it was gives two answers for one text.
    if (!pattern || pattern.global || pattern.sticky) return never;
    patterns.push(pattern);
  }
  // Zod counts code points, each of which is one unit of a string or two.
  const surelyEnough = 2 * min - 1;
  return (value) => {
    if (typeof value !== 'string' || value.length < surelyEnough || value.length > max) return false;
    for (const pattern of patterns) if (!pattern.test(value)) return false;
    return true;
  };
};

const numberCheck = (def: z.core.$ZodNumberDef): Check => {
  const isWhole = 'format' in def && def.format === 'safeint';
  if ('format' in def && !isWhole) return never;
  let min = Number.NEGATIVE_INFINITY;
  let max = Number.POSITIVE_INFINITY;
  for (const bound of defsOf(def.checks ?? [])) {
    const isBound = bound.check === 'greater_than' || bound.check === 'less_than';
    if (!isBound || !bound.inclusive || typeof bound.value !== 'number') return never;
    if (bound.check === 'greater_than') min = Math.max(min, bound.value);
    else max = Math.min(max, bound.value);
  }
  const isNumber = isWhole ? Number.isSafeInteger : Number.isFinite;
  return (value) => isNumber(value) && (value as number) >= min && (value as number) <= max;
};

const arrayCheck = (element: Check, checks: Checks): Check => {
  const { min, max, others } = lengthOf(checks);
  if (others.length > 0) return never;
  return (value) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) return false;
    for (const member of value) if (!element(member)) return false;
    return true;
  };
};

const objectCheck = (shape: z.core.$ZodShape): Check => {
  // Where such a field is absent, the value has one by that name all the same.
  if (Object.keys(shape).some((key) => key in Object.prototype)) return never;
  const fields = Object.entries(shape).map(([key, { _zod }]) => ({
    key,
    check: takesAsIs(shape[key] as z.core.$ZodType),
    isOptional: _zod.optin === 'optional' && _zod.optout === 'optional',
  }));
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    let left = 0;
    for (const _ in value) left++;
    for (const { key, check, isOptional } of fields) {
      const member = (value as Record<string, unknown>)[key];
      if (member === undefined) {
        if (!isOptional) return false;
      } else if (check(member)) left--;
      else return false;
    }
    // Unknown fields are left, or one that is there and undefined.
    return left === 0;
  };
};

const isAnyRecord = ({ keyType, valueType }: z.core.$ZodRecordDef) => {
  const key = (keyType as z.core.$ZodTypes)._zod.def;
  const isAnyKey = key.type === 'string' && !('check' in key) && !key.coerce && !key.checks?.length;
  return isAnyKey && (valueType as z.core.$ZodTypes)._zod.def.type === 'unknown';
};

/** Zod leaves a member named `__proto__` out. */
const isPlainRecord: Check = (value) =>
  typeof value === 'object' &&
  value !== null &&
  Object.getPrototypeOf(value) === Object.prototype &&
  !Object.hasOwn(value, '__proto__');
