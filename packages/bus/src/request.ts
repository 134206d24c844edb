import { AgentGateError, type RequestContract } from '@agentgate/contracts';
import { openAnswer, openAsk, tellFailure, unavailable } from './codec.ts';
import { type Core, subjectMatcher } from './core.ts';
import { nobodyListens } from './mux.ts';

/** Sends bytes and waits for one answer. Rejects with the part's failure on silence, no listener and a broken connection. */
export const exchange = (
  core: Core,
  subject: string,
  body: Uint8Array | string,
  { of, timeoutMs }: { of: string | readonly string[]; timeoutMs: number },
): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    if (!core.connected()) return reject(unavailable(of, 'cannot be reached: not connected to NATS'));
    const timer = setTimeout(
      () => end(() => reject(unavailable(of, `did not answer within ${timeoutMs} ms`))),
      timeoutMs,
    );
    const open = core.mux.open((arrival) => {
      if (arrival === 'disconnected')
        return end(() => reject(unavailable(of, 'cannot be reached: the connection to NATS broke')));
      if (nobodyListens(arrival)) return end(() => reject(unavailable(of, 'is not running')));
      end(() => resolve(arrival.data));
    });
    const end = (then: () => void) => {
      clearTimeout(timer);
      open.close();
      then();
    };
    try {
      core.nc.publish(subject, body, { reply: open.reply });
    } catch (cause) {
      end(() => reject(unavailable(of, 'cannot be reached', cause)));
    }
  });

export const ask = async <A, B>(
  core: Core,
  contract: RequestContract<A, B>,
  body: A,
  opts: { subject?: string; timeoutMs?: number } = {},
): Promise<B> => {
  const data = await exchange(core, opts.subject ?? contract.subject, JSON.stringify(body), {
    of: contract.of,
    timeoutMs: opts.timeoutMs ?? contract.timeoutMs,
  });
  return openAnswer(contract.of, contract.answer, data);
};

export interface AskInfo {
  /** The subject that the server delivered, with the identities that NATS enforced in it. */
  subject: string;
}

/** Serves outsiders: the handler gets the bytes, parses them itself and always answers. */
export const serveRaw = <A, B>(
  core: Core,
  contract: RequestContract<A, B>,
  handler: (body: Uint8Array, info: AskInfo) => Promise<unknown>,
): void => {
  const isOurs = subjectMatcher(contract.subject);
  core.nc.subscribe(contract.subject, {
    queue: contract.of,
    callback: (error, msg) => {
      if (error || !isOurs(msg.subject)) return;
      core.stats.requests++;
      handler(msg.data, { subject: msg.subject })
        .catch((cause: unknown) => {
          core.stats.errors++;
          return { v: 1, status: 'unavailable', ...tellFailure(cause, core.log, contract.subject) };
        })
        .then((answer) => msg.respond(JSON.stringify(answer)))
        .catch((cause: unknown) =>
          core.log.error({ err: cause, subject: contract.subject }, 'an answer could not be sent'),
        );
    },
  });
};

export const serve = <A, B>(
  core: Core,
  contract: RequestContract<A, B>,
  handler: (ask: A, info: AskInfo) => Promise<B>,
): void =>
  serveRaw(core, contract, async (body, info) => {
    try {
      return await handler(openAsk(contract.ask, body), info);
    } catch (error) {
      core.stats.errors++;
      return { v: 1, error: tellFailure(error, core.log, contract.subject) };
    }
  });

export const overloaded = () => new AgentGateError('OVERLOADED', 'too many requests are waiting');
