import { AgentGateError } from '@agentgate/contracts';
import { canonical } from '@agentgate/evidence';
import {
  Ajv,
  type AnySchemaObject,
  type ErrorObject,
  type FuncKeywordDefinition,
  type Options,
  type ValidateFunction,
} from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { RE2JS } from 're2js';

/** Throws FIELD_INVALID with the pointer of the argument that the tool's own schema refuses. */
export type ArgumentsCheck = (args: Record<string, unknown>) => void;

/** Schemas come from tool servers, which nobody vouches for: all of this is bounded. */
const maxSchemaChars = 128 * 1024;
const maxPatternChars = 2_048;

/** RE2 matches in linear time, so no pattern can hang the runner. Those that it lacks (look-around, back-references) are refused at compile. */
const linear = Object.assign(
  (pattern: string, flags: string) => {
    if (pattern.length > maxPatternChars) throw new Error(`a pattern is longer than ${maxPatternChars} characters`);
    const compiled = RE2JS.compile(pattern, flags.includes('i') ? RE2JS.CASE_INSENSITIVE : 0);
    // Ajv tells patterns apart by their text.
    return { test: (text: string) => compiled.matcher(text).find(), toString: () => `/${pattern}/${flags}` };
  },
  { code: 'linear' },
);

/** Ajv's own compares each pair of members: a hundred thousand of them would take minutes. */
const uniqueItems: FuncKeywordDefinition = {
  keyword: 'uniqueItems',
  type: 'array',
  schemaType: 'boolean',
  error: { message: 'must not hold one member twice' },
  validate: (wanted: boolean, members: unknown[]) =>
    !wanted || new Set(members.map((m) => canonical(m))).size === members.length,
};

const options: Options = {
  strict: false,
  allErrors: false,
  ownProperties: true,
  addUsedSchema: false,
  logger: false,
  code: { regExp: linear },
};

const prepared = <T extends Ajv | Ajv2020>(ajv: T): T => {
  addFormats.default(ajv, { mode: 'fast' });
  ajv.removeKeyword('uniqueItems');
  ajv.addKeyword(uniqueItems);
  return ajv;
};

/** Compiles a tool's input schema. Throws UPSTREAM_UNAVAILABLE for one that cannot be used. */
export type CompileInputSchema = (schema: Record<string, unknown>) => ArgumentsCheck;

/**
 * Draft-07 where a schema says so, else 2020-12, as MCP has it. A schema cannot be used when it refers to somewhere else, is no
 * schema, or asks for more than the bounds allow.
 */
export const createInputSchemas = (): CompileInputSchema => {
  const recent = prepared(new Ajv2020(options));
  const old = prepared(new Ajv(options));
  return (schema) => {
    try {
      if (JSON.stringify(schema).length > maxSchemaChars) throw new Error(`longer than ${maxSchemaChars} characters`);
      const { $schema, ...body } = schema;
      const ajv = typeof $schema === 'string' && /draft-0[67]/.test($schema) ? old : recent;
      const validate = ajv.compile(body as AnySchemaObject);
      // The compiler would keep every schema that it ever saw.
      ajv.removeSchema(body);
      // It would answer with a promise, which is true whatever it resolves to.
      if ('$async' in validate) throw new Error('it is asynchronous');
      return checking(validate);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message.slice(0, 200) : 'unknown';
      throw new AgentGateError('UPSTREAM_UNAVAILABLE', `the tool's input schema cannot be used: ${why}`, { cause });
    }
  };
};

const checking =
  (validate: ValidateFunction): ArgumentsCheck =>
  (args) => {
    if (validate(args) !== true) throw new AgentGateError('FIELD_INVALID', describe(validate.errors?.[0]));
  };

const describe = (error: ErrorObject | undefined): string => {
  if (!error) return '/arguments: not as the tool wants it';
  const extra =
    error.keyword === 'additionalProperties' || error.keyword === 'unevaluatedProperties'
      ? (error.params.additionalProperty ?? error.params.unevaluatedProperty)
      : undefined;
  const missing = error.keyword === 'required' ? error.params.missingProperty : undefined;
  const member = extra ?? missing;
  const pointer = `/arguments${error.instancePath}${typeof member === 'string' ? `/${member.replaceAll('~', '~0').replaceAll('/', '~1')}` : ''}`;
  const why =
    extra !== undefined
      ? 'the tool knows no such argument'
      : missing !== undefined
        ? 'the tool needs it'
        : (error.message ?? 'not as the tool wants it');
  return `${pointer.slice(0, 1024)}: ${why.slice(0, 512)}`;
};
