/// <reference path="./engine/web-assembly.d.ts" />
export { UnsafeCondition } from './conditions/verdict.ts';
export { type EngineOptions, type PolicyEngine, startEngine } from './engine/engine.ts';
export { createEvaluator, type Evaluation, type Evaluator } from './engine/evaluator.ts';
export { noFacts, type PolicyInput } from './engine/policy-input.ts';
export { type Asked, createFactFinder, type FactFinder, type Found } from './facts.ts';
export { type CompiledPolicy, compileGrants } from './grants/compile.ts';
export { mayCall } from './grants/lookup.ts';
export { type AgentIdentity, type PolicyData, splitTool } from './grants/policy-data.ts';
export { deny, outcomeOf } from './outcome.ts';
export { keyOf } from './provenance/normalise.ts';
export { resultValues, type SeenValue } from './provenance/result-values.ts';
export type { Source } from './provenance/trace.ts';
export { createEgressScan } from './scan/egress.ts';
export type { Commit, Recall, Recalled, SessionFacts, SessionOwner } from './session-facts.ts';
