import type { z } from 'zod';
import type { ServiceName } from './names.ts';

/** Who asks on a subject. `agent` and `operator` are people's and agents' users in other accounts, by import. */
export type Asker = ServiceName | 'agent' | 'operator';

/** One request, one answer. Queue group: any one instance of `of` answers. */
export interface RequestContract<Ask, Answer> {
  kind: 'request';
  subject: string;
  ask: z.ZodType<Ask>;
  answer: z.ZodType<Answer>;
  by: readonly Asker[];
  of: ServiceName;
  /** Milliseconds that the asker waits unless it says otherwise. */
  timeoutMs: number;
}

/**
 * Many items a message, one answer an item. Items that arrive while messages are in flight leave together (natural batching).
 * `late: true` marks work whose answers come one by one when they are ready (a slow tool must not hold up its batch);
 * the server then first says how many items it took.
 */
export interface BatchContract<Ask, Answer> {
  kind: 'batch';
  subject: string;
  ask: z.ZodType<Ask>;
  answer: z.ZodType<Answer>;
  by: readonly Asker[];
  of: ServiceName;
  /** At most so many items leave in one message. */
  items: number;
  late: boolean;
  timeoutMs: number;
}

/** Every instance of every service in `of` hears it and answers once. */
export interface BroadcastContract<Ask, Answer> {
  kind: 'broadcast';
  subject: string;
  ask: z.ZodType<Ask>;
  answer: z.ZodType<Answer>;
  by: readonly Asker[];
  of: readonly ServiceName[];
  timeoutMs: number;
}

/** Said to all instances of the services in `of`; nobody answers, and nobody may rely on it having arrived. */
export interface NoticeContract<Body> {
  kind: 'notice';
  subject: string;
  body: z.ZodType<Body>;
  by: readonly ServiceName[];
  of: readonly ServiceName[];
}

export type Contract =
  | RequestContract<never, unknown>
  | BatchContract<never, unknown>
  | BroadcastContract<never, unknown>
  | NoticeContract<never>;

type Spec<C> = Omit<C, 'kind' | 'subject'>;

export const request = <Ask, Answer>(
  subject: string,
  spec: Spec<RequestContract<Ask, Answer>>,
): RequestContract<Ask, Answer> => ({ kind: 'request', subject, ...spec });
export const batch = <Ask, Answer>(
  subject: string,
  spec: Spec<BatchContract<Ask, Answer>>,
): BatchContract<Ask, Answer> => ({ kind: 'batch', subject, ...spec });
export const broadcast = <Ask, Answer>(
  subject: string,
  spec: Spec<BroadcastContract<Ask, Answer>>,
): BroadcastContract<Ask, Answer> => ({ kind: 'broadcast', subject, ...spec });
export const notice = <Body>(subject: string, spec: Spec<NoticeContract<Body>>): NoticeContract<Body> => ({
  kind: 'notice',
  subject,
  ...spec,
});
