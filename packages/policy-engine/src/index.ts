/// <reference path="./engine/web-assembly.d.ts" />
export { type BundleFiles, memberOfBundle, packBundle } from './bundle/archive.ts';
export { refuse } from './bundle/refused.ts';
export { bundleFiles, compiledPolicy, openBundle, type Revision, revisionOfConfig } from './bundle/revision.ts';
export { type FailedTest, runSelfTests, type SelfTest, selfTests } from './bundle/self-tests.ts';
export { type Authors, parseAuthors, signBundle } from './bundle/signatures.ts';
export { type Checked, type CheckWorld, checkPolicy, type Finding } from './check/check.ts';
export { UnsafeCondition } from './conditions/verdict.ts';
export { type PreparedWhere, prepareWhere } from './conditions/where.ts';
export { type EngineOptions, type PolicyEngine, startEngine } from './engine/engine.ts';
export { createEvaluator, type Evaluation, type Evaluator } from './engine/evaluator.ts';
export { noFacts, type PolicyInput } from './engine/policy-input.ts';
export { type Asked, createFactFinder, type FactFinder, type Found } from './facts.ts';
export { type CompiledPolicy, compileGrants } from './grants/compile.ts';
export { matchingGrants, mayCall } from './grants/lookup.ts';
export { type AgentIdentity, type PolicyData, splitTool } from './grants/policy-data.ts';
export { inputOf } from './input-of.ts';
export { type Instance, startInstance } from './instance.ts';
export { deny, outcomeOf } from './outcome.ts';
export { keyOf } from './provenance/normalise.ts';
export { resultValues, type SeenValue } from './provenance/result-values.ts';
export type { Source } from './provenance/trace.ts';
export type { Commit, Recall, Recalled, SessionFacts, SessionOwner } from './session-facts.ts';
export { type Explanation, explainCall, type WeighedGrant } from './trial/explain.ts';
export { createHistory, type History, type RecordedCall, type TrialEvent } from './trial/recorded-calls.ts';
export { type Change, createReplay, type Replay, type ReplayExample, type ReplayReport } from './trial/replay.ts';
export {
  askedOf,
  type Gap,
  gaps,
  gapsOf,
  inputOfRecorded,
  isSettledElsewhere,
  nothingRemembered,
  type TrialWorld,
} from './trial/trial.ts';
export { unenforceable } from './unenforceable.ts';
