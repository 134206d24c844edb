export type { EntriesSummary } from './entry-checker.ts';
export {
  type Excerpt,
  type ExcerptEntry,
  type ExcerptVerdict,
  type JudgedEntry,
  parseExcerpt,
  verifyExcerpt,
} from './excerpt.ts';
export type { Finding, FindingCode } from './finding.ts';
export { TIME_TOLERANCE, type TimeTolerance } from './log-clock.ts';
export { createLogFiles, type LogFiles, type ReadFile } from './log-files.ts';
export {
  createVerifier,
  type LogTrust,
  type LogVerdict,
  type Verifier,
  type VerifierOptions,
} from './log-verifier.ts';
export type { SilentProducer } from './producer-chains.ts';
export type { KeyAuthority, ProducerKey, ProducerTrust } from './producer-keys.ts';
export type { Progress } from './walk.ts';
