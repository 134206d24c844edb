import type { BroadcastContract, NoticeContract } from '@agentgate/contracts';
import { decode, openAnswer, openAsk, tellFailure } from './codec.ts';
import { type Core, subjectMatcher } from './core.ts';
import { nobodyListens } from './mux.ts';

export interface Gather<B> {
  enough?: (answers: B[]) => boolean;
  timeoutMs?: number;
  /** Each answer as it arrives, with the milliseconds since the question left. */
  onAnswer?: (answer: B, ms: number) => void;
}

/** Asks all instances; whoever did not answer in time is simply not in the list, so the caller must know whom it expects. */
export const broadcast = <A, B>(
  core: Core,
  contract: BroadcastContract<A, B>,
  body: A,
  { enough, timeoutMs = contract.timeoutMs, onAnswer }: Gather<B> = {},
): Promise<B[]> =>
  new Promise((resolve) => {
    const answers: B[] = [];
    if (!core.connected()) return resolve(answers);
    const asked = performance.now();
    const end = () => {
      clearTimeout(timer);
      open.close();
      resolve(answers);
    };
    const timer = setTimeout(end, timeoutMs);
    const open = core.mux.open((arrival) => {
      if (arrival === 'disconnected' || nobodyListens(arrival)) return end();
      try {
        const answer: B = openAnswer(contract.of, contract.answer, arrival.data);
        answers.push(answer);
        onAnswer?.(answer, performance.now() - asked);
        if (enough?.(answers)) end();
      } catch (error) {
        core.log.warn({ err: error, subject: contract.subject }, 'an answer was not in form');
      }
    });
    core.nc.publish(contract.subject, JSON.stringify(body), { reply: open.reply });
  });

/** Serves a broadcast: no queue group, so every instance hears it. */
export const serveBroadcast = <A, B>(
  core: Core,
  contract: BroadcastContract<A, B>,
  handler: (ask: A) => Promise<B>,
): void => {
  const answer = async (data: Uint8Array): Promise<unknown> => {
    try {
      return await handler(openAsk(contract.ask, data));
    } catch (error) {
      core.stats.errors++;
      return { v: 1, error: tellFailure(error, core.log, contract.subject) };
    }
  };
  const isOurs = subjectMatcher(contract.subject);
  core.nc.subscribe(contract.subject, {
    callback: (error, msg) => {
      if (error || !isOurs(msg.subject)) return;
      core.stats.requests++;
      answer(msg.data)
        .then((body) => msg.respond(JSON.stringify(body)))
        .catch((cause: unknown) =>
          core.log.error({ err: cause, subject: contract.subject }, 'an answer could not be sent'),
        );
    },
  });
};

export const notify = <B>(core: Core, contract: NoticeContract<B>, body: B): void => {
  if (core.connected()) core.nc.publish(contract.subject, JSON.stringify(body));
};

export const hear = <B>(core: Core, contract: NoticeContract<B>, handler: (body: B) => void): void => {
  const isOurs = subjectMatcher(contract.subject);
  core.nc.subscribe(contract.subject, {
    callback: (error, msg) => {
      if (error || !isOurs(msg.subject)) return;
      try {
        const parsed = contract.body.safeParse(decode(msg.data));
        if (parsed.success) handler(parsed.data);
        else core.log.warn({ subject: contract.subject, err: parsed.error }, 'a notice was not in form');
      } catch (cause) {
        core.log.warn({ err: cause, subject: contract.subject }, 'a notice could not be taken');
      }
    },
  });
};
