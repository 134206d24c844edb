import type { Excerpt } from '@agentgate/evidence';
import { eventOf, proofOf } from './excerpt.ts';

/**
 * A CloudEvents JSON batch. The events are the log's own; `evidenceentry` is the entry as the log hashes it, seal included, and
 * `evidenceproof` its C2SP tlog-proof. Whoever takes the three apart can verify each event alone.
 */
export const cloudEventsOf = (excerpt: Excerpt): object[] =>
  excerpt.entries.map((each) => ({
    ...eventOf(each.entry),
    evidenceindex: String(each.index),
    evidenceentry: each.entry,
    evidenceproof: proofOf(excerpt, each),
  }));
