import { z } from 'zod';
import type { Code } from './codes.ts';
import { name } from './names.ts';
import { toolPattern } from './tool-profile.ts';

// `containment` in agentgate.yaml: what makes the gate stop somebody by itself. Nothing stands by default: each rule is somebody's decision.

/**
 * Refusals that say something about who was refused. The others say something about the gate: no agent is stopped because a service was
 * away, because policy was wrong, because a tool's server changed its description, or because it is stopped already.
 */
export const telling = [
  'NO_GRANT',
  'ARGUMENT_NOT_ALLOWED',
  'POLICY_DENIED',
  'UNKNOWN_TOOL',
  'UNKNOWN_SESSION',
  'SESSION_EXPIRED',
  'APPROVAL_INVALID',
  'RATE_LIMITED',
] as const satisfies readonly Code[];
export type TellingCode = (typeof telling)[number];

/** What a risk score is made of: refusals by their code, and the rest. */
export const riskSignals = [...telling, 'approval_rejected', 'tool_error', 'timeout', 'secret_in_result'] as const;
export type RiskSignal = (typeof riskSignals)[number];

const oneStar = toolPattern.refine(
  (pattern) => pattern.split('/').every((part) => part.split('*').length <= 2),
  'only one * may stand on each side of the slash',
);
const windowS = z.int().min(1).max(86_400);
/** Whose events count together, and who is stopped. */
const party = z.enum(['session', 'agent']);
const agentByDefault = { per: party.default('agent'), contains: party.default('agent') };

const denialRule = z.strictObject({
  id: name,
  /** So many refusals … */
  count: z.int().min(1).max(256),
  /** … within this time. */
  window_s: windowS,
  ...agentByDefault,
  codes: z
    .array(z.enum(telling))
    .min(1)
    .max(telling.length)
    .default([
      'NO_GRANT',
      'ARGUMENT_NOT_ALLOWED',
      'POLICY_DENIED',
      'UNKNOWN_TOOL',
      'UNKNOWN_SESSION',
      'APPROVAL_INVALID',
    ]),
});
export type DenialRule = z.infer<typeof denialRule>;

const source = z.union([
  z.strictObject({ file: z.string().min(1).max(4096) }),
  z.strictObject({ env: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/) }),
]);
const canaryRule = z
  .strictObject({
    id: name,
    /** Tools that no honest agent calls, whether they exist or not. */
    tools: z.array(oneStar).min(1).max(256).optional(),
    /** Of `credentials`: one of which no honest agent makes a tool ask for a lease. */
    credentials: z.array(name).min(1).max(64).optional(),
    /** Values that lie about as bait, by name: looked for in the arguments of every call. */
    values: z.record(name, source).optional(),
    contains: party.default('agent'),
  })
  .refine(
    ({ tools, credentials, values }) => tools || credentials || (values && Object.keys(values).length > 0),
    'names no tool, no credential and no value',
  );
export type CanaryRule = z.infer<typeof canaryRule>;

const breakerRule = z
  .strictObject({
    id: name,
    tools: z.array(oneStar).min(1).max(256),
    window_s: windowS,
    /** Trips when of at least so many calls this share failed … */
    errors: z.strictObject({ share: z.number().min(0.01).max(1), calls: z.int().min(1).max(1_000_000) }).optional(),
    /** … or when there were more calls than this. */
    budget: z.int().min(1).max(10_000_000).optional(),
    /** So many agents are needed to trip it: it looks at the calls of all but the `agents - 1` that did most to it. With 1, any one agent can have the tool stopped for all of its tenant. */
    agents: z.int().min(1).max(16).default(2),
  })
  .refine(({ errors, budget }) => errors || budget !== undefined, 'names neither errors nor a budget');
export type BreakerRule = z.infer<typeof breakerRule>;

const anomalyRule = z.strictObject({
  id: name,
  /** Of `evidence.anomaly` (docs of audit); one that names no agent stops nobody. */
  kinds: z
    .array(z.enum(['orphan']))
    .min(1)
    .max(1)
    .default(['orphan']),
  contains: party.default('session'),
});
export type AnomalyRule = z.infer<typeof anomalyRule>;

const weights = z
  .partialRecord(z.enum(riskSignals), z.number().min(0).max(1_000))
  .refine((all) => Object.values(all).some((weight) => weight > 0), 'weighs nothing');
const riskRule = z.strictObject({
  id: name,
  /** The score at which it is enough. Each event adds its weight; half of the score is gone after `half_life_s`. */
  limit: z.number().min(0.01).max(1_000_000),
  half_life_s: windowS,
  ...agentByDefault,
  weights: weights.default({
    ARGUMENT_NOT_ALLOWED: 1,
    NO_GRANT: 2,
    POLICY_DENIED: 2,
    UNKNOWN_TOOL: 1,
    UNKNOWN_SESSION: 3,
    APPROVAL_INVALID: 3,
    approval_rejected: 5,
  }),
});
export type RiskRule = z.infer<typeof riskRule>;

const rules = <T extends z.ZodType>(rule: T) => z.array(rule).max(32).default([]);

export const containment = z
  .strictObject({
    denials: rules(denialRule),
    canaries: rules(canaryRule),
    breakers: rules(breakerRule),
    anomalies: rules(anomalyRule),
    risk: rules(riskRule),
    /** An agent of which so many sessions were stopped within this time is stopped itself: else it would only open the next one. */
    escalate: z
      .strictObject({ sessions: z.int().min(1).max(16).default(3), window_s: windowS.default(3_600) })
      .default({ sessions: 3, window_s: 3_600 }),
  })
  .superRefine((all, ctx) => {
    const seen = new Set<string>();
    for (const list of ['denials', 'canaries', 'breakers', 'anomalies', 'risk'] as const)
      for (const [i, { id }] of all[list].entries()) {
        if (seen.has(id))
          ctx.addIssue({
            code: 'custom',
            path: [list, i, 'id'],
            message: `a second rule of containment is named ${id}`,
          });
        seen.add(id);
      }
  });
export type Containment = z.infer<typeof containment>;
export const noContainment: Containment = {
  denials: [],
  canaries: [],
  breakers: [],
  anomalies: [],
  risk: [],
  escalate: { sessions: 3, window_s: 3_600 },
};

/** Whether the full name of a tool is one that a pattern names. Linear in the name, which is the agent's to choose. */
export const createToolMatch = (patterns: readonly string[]): ((tool: string) => boolean) => {
  const all = patterns.map((pattern) => splitAtSlash(pattern).map((part) => part.split('*')));
  return (tool) => {
    const parts = splitAtSlash(tool);
    return all.some((pattern) => pattern.every((part, i) => fits(part, parts[i] ?? '')));
  };
};
const splitAtSlash = (tool: string): [string, string] => {
  const at = tool.indexOf('/');
  return [tool.slice(0, at), tool.slice(at + 1)];
};
const fits = ([before = '', after]: readonly string[], text: string): boolean =>
  after === undefined
    ? text === before
    : text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after);
