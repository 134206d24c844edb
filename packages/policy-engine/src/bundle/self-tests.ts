import { AgentGateError, code, json, name, sessionId, toolName } from '@agentgate/contracts';
import { canonical, sha256Hex } from '@agentgate/evidence';
import { z } from 'zod';
import type { PolicyEngine } from '../engine/engine.ts';
import { type Facts, noFacts, type PolicyInput } from '../engine/policy-input.ts';
import { createFactFinder } from '../facts.ts';
import { splitTool } from '../grants/policy-data.ts';
import { outcomeOf } from '../outcome.ts';
import type { Revision } from './revision.ts';

// The cases that a bundle carries: a call, who makes it, and the decision that its author wants. They are judged as a real call is:
// facts first, then the engine, then the form of its answer.

const selfTest = z.strictObject({
  name: z.string().min(1).max(256),
  agent: z.strictObject({ name, tenant: name.default('default'), labels: z.array(name).max(32).default([]) }),
  call: z.strictObject({ tool: toolName, arguments: json.default({}) }),
  purpose: z.string().max(8192).default(''),
  taint: z.array(name).max(16).default([]),
  /** A person said yes. */
  approved: z.boolean().default(false),
  /** As the tool's server describes it; what it does is read from it, as ever. */
  tool: z
    .strictObject({
      description: z.string().max(16_384).default(''),
      input_schema: json.default({}),
      annotations: json.default({}),
    })
    .default({ description: '', input_schema: {}, annotations: {} }),
  /** In place of what would be found out: `values`, `copied` and others that a case without a history cannot have. */
  facts: z.record(z.string().max(64), z.unknown()).optional(),
  want: z.strictObject({
    action: z.enum(['allow', 'deny', 'require_approval']),
    code: code.optional(),
    rule: z.string().max(256).optional(),
  }),
});
export type SelfTest = z.infer<typeof selfTest>;
export const selfTests = z.strictObject({ v: z.literal(1), cases: z.array(selfTest).min(1).max(1000) });

export interface FailedTest {
  name: string;
  want: string;
  got: string;
}

const session = sessionId.parse('ses_self-test00');
const tellDecision = ({
  action,
  code,
  rule,
}: {
  action: string;
  code?: string | undefined;
  rule?: string | undefined;
}) => [action, code, rule && `by ${rule}`].filter(Boolean).join(' ');

/** All cases together: whoever waits for a rollout waits for them. */
const allCasesMs = 5_000;

/**
 * The cases that are not decided as their author wants; none where the revision keeps its word. One after the other, and none after one that
 * hangs or throws: each such costs a worker, and a thousand of them minutes.
 */
export const runSelfTests = async (revision: Revision, engine: Pick<PolicyEngine, 'decide'>): Promise<FailedTest[]> => {
  const { tests, data } = revision;
  const inputs = await inputsOf(revision);
  const failed: FailedTest[] = [];
  const begun = performance.now();
  for (const [i, { name, call, want }] of tests.entries()) {
    const fail = (got: Decided) =>
      failed.push({ name, want: tellDecision(want), got: `${tellDecision(got)}: ${got.reason.slice(0, 256)}` });
    if (performance.now() - begun > allCasesMs) {
      fail({ ...noDecision, reason: `${i} of ${tests.length} cases took more than ${allCasesMs} ms` });
      break;
    }
    const [evaluation] = await engine.decide(inputs.slice(i, i + 1));
    const got = decided(evaluation, { server: splitTool(call.tool).server, credentials: data.credentials });
    if (!isWanted(got, want)) fail(got);
    if (got.action === noDecision.action) break;
  }
  return failed;
};

interface Decided {
  action: string;
  code?: string | undefined;
  rule?: string | undefined;
  reason: string;
}
const noDecision = { action: 'no decision', code: 'POLICY_UNAVAILABLE' } as const;
const isWanted = (got: Decided, want: SelfTest['want']): boolean =>
  got.action === want.action &&
  (want.code === undefined || got.code === want.code) &&
  (want.rule === undefined || got.rule === want.rule);

const decided = (
  evaluation: Parameters<typeof outcomeOf>[0] | undefined,
  where: Parameters<typeof outcomeOf>[1],
): Decided => {
  try {
    return outcomeOf(evaluation ?? new AgentGateError('POLICY_UNAVAILABLE', 'the policy engine gave no answer'), where);
  } catch (error) {
    if (error instanceof AgentGateError) return { ...noDecision, code: error.code, reason: error.message };
    throw error;
  }
};

const inputsOf = async ({ data: { gate }, tests }: Revision): Promise<PolicyInput[]> => {
  // A case stands alone: nothing was seen before it.
  const nothingSeen = {
    recall: async (asked: unknown[]) =>
      asked.map(() => ({ sources: new Map(), written: new Set<string>(), used: 0, full: false })),
  };
  const finder = createFactFinder({
    tools: gate.tools,
    policy: { ...gate.policy, secrets: {} },
    secrets: [],
    memory: nothingSeen,
  });
  const asked = tests.map((test, i) => {
    const { agent, call, purpose, taint, tool } = test;
    const who = { tenant: agent.tenant, agent: agent.name };
    const id = `call_self-test${String(i).padStart(4, '0')}`;
    const ask = { ...who, session, call: id, tool: call.tool, arguments: call.arguments, deadline: 0 };
    const facts = { ...who, openedAt: 0, expiresAt: 0, purpose, held: false, calls: 1, denied: 0 };
    return {
      test,
      ask,
      session: { ...facts, taint: { session: taint, agent: taint } },
      tool: { v: 1 as const, name: call.tool, ...tool, schema_digest: '0'.repeat(64), seen_at: '' },
      labels: agent.labels,
    };
  });
  const found = await finder.find(asked);
  return asked.map(({ test, ask, labels, tool }, i) => ({
    call: {
      tool: ask.tool,
      ...splitTool(ask.tool),
      arguments: ask.arguments,
      digest: sha256Hex(canonical({ arguments: ask.arguments, tool: ask.tool })),
    },
    tool: {
      labels: found[i]?.labels ?? [],
      annotations: tool.annotations,
      schema_digest: tool.schema_digest,
      flags: [],
      pinned: true,
    },
    agent: { name: ask.agent, tenant: ask.tenant, labels },
    session: { id: session, age_s: 0, purpose: test.purpose, taint: test.taint, calls: 1, denied: 0 },
    provenance: found[i]?.provenance ?? {},
    approval: test.approved ? { granted: true, by: 'self-test', at: 0 } : null,
    now: 0,
    facts: { ...(found[i]?.facts ?? noFacts), ...(test.facts as Partial<Facts> | undefined) },
  }));
};
