import { AgentGateError, type RequestContract } from '@agentgate/contracts';
import { headers, type Msg } from '@nats-io/transport-node';
import { decode, openAnswer, openAsk, tellFailure, unavailable } from './codec.ts';
import { type Core, subjectMatcher } from './core.ts';
import { nobodyListens } from './mux.ts';

/** Marks a question whose asker wants to hear how it goes, and what is said of that before the answer. */
const progress = 'Ag-Progress';
const withProgress = () => {
  const h = headers();
  h.set(progress, '1');
  return h;
};

/** Sends bytes and waits for one answer; `onProgress` hears what is said before it. Rejects with the part's failure on silence, no listener and a broken connection. */
export const exchange = (
  core: Core,
  subject: string,
  body: Uint8Array | string,
  { of, timeoutMs, onProgress }: ExchangeOptions,
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
      if (onProgress && arrival.headers?.has(progress)) return onProgress(arrival.data);
      end(() => resolve(arrival.data));
    });
    const end = (then: () => void) => {
      clearTimeout(timer);
      open.close();
      then();
    };
    try {
      core.nc.publish(subject, body, { reply: open.reply, ...(onProgress && { headers: withProgress() }) });
    } catch (cause) {
      end(() => reject(unavailable(of, 'cannot be reached', cause)));
    }
  });

interface ExchangeOptions {
  of: string | readonly string[];
  timeoutMs: number;
  onProgress?: ((note: Uint8Array) => void) | undefined;
}

export interface AskOptions {
  subject?: string;
  timeoutMs?: number;
  /** Hears what the other side says of how it goes, in the contract's own form, before it answers. */
  onProgress?: (note: unknown) => void;
}

export const ask = async <A, B>(
  core: Core,
  contract: RequestContract<A, B>,
  body: A,
  opts: AskOptions = {},
): Promise<B> => {
  const data = await exchange(core, opts.subject ?? contract.subject, JSON.stringify(body), {
    of: contract.of,
    timeoutMs: opts.timeoutMs ?? contract.timeoutMs,
    onProgress: opts.onProgress && ((note) => opts.onProgress?.(decode(note))),
  });
  return openAnswer(contract.of, contract.answer, data);
};

export interface AskInfo {
  /** The subject that the server delivered, with the identities that NATS enforced in it. */
  subject: string;
  /** Says how it goes, where the asker wants to hear it. It must be bounded: NATS lets nobody answer without end. */
  readonly tell?: ((note: unknown) => void) | undefined;
}

/** Serves outsiders: the handler gets the bytes, parses them itself and always answers. */
export const serveRaw = <A, B>(
  core: Core,
  contract: RequestContract<A, B>,
  handler: (body: Uint8Array, info: AskInfo) => Promise<unknown>,
): void => {
  const isOurs = subjectMatcher(contract.subject);
  const failed = (cause: unknown) => {
    core.stats.errors++;
    return { v: 1, status: 'unavailable', ...tellFailure(cause, core.log, contract.subject) };
  };
  // It waits for the answer with the reply's subject alone: a message keeps all that the socket brought with it.
  const sendTo = (reply: string) => (answer: unknown) => {
    try {
      if (reply) core.nc.publish(reply, JSON.stringify(answer));
    } catch (cause) {
      core.log.error({ err: cause, subject: contract.subject }, 'an answer could not be sent');
    }
  };
  core.nc.subscribe(contract.subject, {
    queue: contract.of,
    callback: (error, msg) => {
      if (error || !isOurs(msg.subject)) return;
      core.stats.requests++;
      void handler(msg.data, infoOf(msg))
        .catch(failed)
        .then(sendTo(msg.reply ?? ''));
    },
  });
};

/** The headers, which the server gives to each message of another account, are read only where somebody has something to tell. */
const infoOf = (msg: Msg): AskInfo => ({
  subject: msg.subject,
  get tell() {
    return msg.headers?.has(progress)
      ? (note: unknown) => void msg.respond(JSON.stringify(note), { headers: withProgress() })
      : undefined;
  },
});

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
