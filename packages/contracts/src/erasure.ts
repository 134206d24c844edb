import { z } from 'zod';
import { callId, eventId, holdId, name, sessionId, timestamp } from './names.ts';

// What is kept beside the log to open its salted digests: reading it, erasing it, and holding it (PROTOCOL.md, "Auditors").

const v = z.literal(1);
const reason = z.string().min(1).max(512);

/** Whose disclosures. `tenant` defaults to `default`. */
export const disclosureScope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('event'), id: eventId }),
  z.strictObject({ kind: z.literal('call'), id: callId }),
  z.strictObject({ kind: z.literal('session'), id: sessionId }),
  z.strictObject({ kind: z.literal('agent'), id: name, tenant: name.optional() }),
]);
export type DisclosureScope = z.infer<typeof disclosureScope>;

export const disclosuresAsk = z.strictObject({ v, event: eventId });
export const disclosure = z.strictObject({ field: z.string().max(64), salt: z.string().max(64), value: z.unknown() });
/** `erased`: there were some, and they are gone. */
export const disclosuresAnswer = z.strictObject({
  v,
  status: z.enum(['kept', 'erased', 'none']),
  disclosures: z.array(disclosure.partial({ value: true })).max(16),
});
export type DisclosuresAnswer = z.infer<typeof disclosuresAnswer>;

export const eraseAsk = z.strictObject({ v, scope: disclosureScope, reason });
/** `held`: by the holds that are named, and nothing was erased. `event` tells of it in evidence; absent where that is still to be written. */
export const eraseAnswer = z.strictObject({
  v,
  status: z.enum(['erased', 'held', 'nothing']),
  /** Events whose disclosures are gone. */
  events: z.int().min(0),
  holds: z.array(holdId).max(64),
  event: eventId.optional(),
});
export type EraseAnswer = z.infer<typeof eraseAnswer>;

export const holdAsk = z.strictObject({ v, scope: disclosureScope, reason });
export const holdAnswer = z.strictObject({
  v,
  status: z.enum(['held', 'too_many']),
  hold: holdId.optional(),
  event: eventId.optional(),
});
export const releaseHoldAsk = z.strictObject({ v, hold: holdId, reason });
export const releaseHoldAnswer = z.strictObject({
  v,
  status: z.enum(['released', 'not_found']),
  event: eventId.optional(),
});
export const holdsAsk = z.strictObject({ v });
export const legalHold = z.strictObject({ hold: holdId, scope: disclosureScope, reason, by: name, at: timestamp });
export type LegalHold = z.infer<typeof legalHold>;
export const holdsAnswer = z.strictObject({ v, holds: z.array(legalHold) });
