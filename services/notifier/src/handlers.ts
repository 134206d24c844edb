import type { Bus, ConsumedMessage } from '@agentgate/bus';
import { alertsAsk, operatorVerbs, parseField, parseStrict, retryAlertAsk, testAlertAsk } from '@agentgate/contracts';
import { createSealCache, type KeyRing, verifyEntry } from '@agentgate/evidence';
import { createAnswerPerson } from '@agentgate/runtime';
import type { z } from 'zod';
import { alertNameOf, alertOf } from './payload.ts';
import type { Counts, Log } from './ports.ts';
import type { Notifier } from './service.ts';

/** A record could not be written: so much later the event comes again. */
const againMs = 2_000;

export interface EvidencePorts {
  notifier: Pick<Notifier, 'take'>;
  keys: KeyRing;
  counts: Pick<Counts, 'untrusted'>;
  log: Log;
}

/** Entries of EVIDENCE to alerts. An event is acknowledged when the alerts of it are durable, or when nobody is to be told of it. */
export const createEntryHandler = ({ notifier, keys, counts, log }: EvidencePorts) => {
  const cache = createSealCache();
  /** What its producer did not sign, or may not say, wakes nobody: else whoever writes there could cry wolf, or sound the all-clear. */
  const alertIn = (data: Uint8Array) => {
    const verdict = verifyEntry(new TextDecoder().decode(data), { keys, cache });
    if (!verdict.ok) throw new Error(verdict.reason);
    const { event } = verdict.entry;
    const name = alertNameOf(event);
    if (name === 'unentitled') throw new Error(`${event.source} has no say in ${event.type}`);
    return name === undefined ? undefined : alertOf(name, event);
  };
  const untrusted = (error: unknown, seq: number) => {
    counts.untrusted();
    log.error({ err: error, seq }, 'an entry of EVIDENCE is not to be believed, and nobody is told of it');
    return undefined;
  };
  const handle = async (message: ConsumedMessage) => {
    let alert: ReturnType<typeof alertIn>;
    try {
      alert = alertIn(message.data);
    } catch (error) {
      alert = untrusted(error, message.seq);
    }
    if (alert) await notifier.take(alert);
    message.ack();
  };
  return async (messages: ConsumedMessage[]): Promise<void> => {
    await Promise.all(
      messages.map((message) =>
        handle(message).catch((error: unknown) => {
          log.warn({ err: error, seq: message.seq }, 'the alerts of an event are not on record yet');
          message.nak(againMs);
        }),
      ),
    );
  };
};

export interface OperatorPorts {
  bus: Pick<Bus, 'serveRaw'>;
  notifier: Pick<Notifier, 'list' | 'retry' | 'test'>;
  log: Pick<Log, 'info' | 'error'>;
}

/** The operators' verbs. */
export const serveOperators = ({ bus, notifier, log }: OperatorPorts): void => {
  const answer = createAnswerPerson(log, 'an operator could not be answered');
  const operated =
    <A, B>(schema: z.ZodType<A>, work: (by: string, ask: A) => Promise<B>) =>
    (body: Uint8Array, { subject }: { subject: string }) =>
      answer(subject, (by) => work(by, parseField(schema, parseStrict(body))));
  bus.serveRaw(
    operatorVerbs.alerts,
    operated(alertsAsk, async (_, { state }) => notifier.list(state)),
  );
  bus.serveRaw(
    operatorVerbs['retry-alert'],
    operated(retryAlertAsk, async (by, { alert }) => {
      const retried = await notifier.retry(alert);
      log.info({ by, alert, retried }, 'an operator has alerts tried again');
      return { v: 1 as const, retried };
    }),
  );
  bus.serveRaw(
    operatorVerbs['test-alert'],
    operated(testAlertAsk, (by, { endpoint }) => notifier.test(by, endpoint)),
  );
};
