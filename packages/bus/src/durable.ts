import { AgentGateError } from '@agentgate/contracts';
import { headers } from '@nats-io/transport-node';
import { z } from 'zod';
import type { Core } from './core.ts';
import { nobodyListens } from './mux.ts';

/** Somebody else wrote first: the compare of a compare-and-set failed. Nothing was written. */
export class WrongRevision extends AgentGateError {
  constructor(subject: string, cause?: unknown) {
    super('INTERNAL', `${subject} was changed by somebody else`, { cause });
  }
}

export interface PublishOptions {
  /** Nats-Msg-Id: the same id within the stream's duplicate window is stored once, so a retry after a lost acknowledgement is safe. */
  id?: string;
  headers?: Record<string, string>;
  /** 0: nothing may be there yet. */
  expectedLastSubjectSeq?: number;
  timeoutMs: number;
}
export interface PubAck {
  stream: string;
  seq: number;
  duplicate: boolean;
}

const pubAck = z.object({ stream: z.string(), seq: z.int(), duplicate: z.boolean().optional() });
const pubError = z.object({
  error: z.object({ code: z.int(), err_code: z.int().optional(), description: z.string().optional() }),
});
const wrongLastSequence = 10071;
const wrongLastSequenceUnknown = 10164;

/** Publishes to a stream and resolves when the stream acknowledged it (with `sync_interval: always`: fsynced). */
export const publishDurable = (
  core: Core,
  subject: string,
  body: Uint8Array | string,
  opts: PublishOptions,
): Promise<PubAck> =>
  new Promise((resolve, reject) => {
    const failed = (why: string, cause?: unknown) =>
      new AgentGateError('EVIDENCE_UNAVAILABLE', `the stream of ${subject.split('.')[0]} ${why}`, { cause });
    if (!core.connected()) return reject(failed('cannot be reached: not connected to NATS'));
    const h = headers();
    if (opts.id !== undefined) h.set('Nats-Msg-Id', opts.id);
    if (opts.expectedLastSubjectSeq !== undefined)
      h.set('Nats-Expected-Last-Subject-Sequence', String(opts.expectedLastSubjectSeq));
    for (const [key, value] of Object.entries(opts.headers ?? {})) h.set(key, value);
    const end = (then: () => void) => {
      clearTimeout(timer);
      open.close();
      then();
    };
    const timer = setTimeout(
      () => end(() => reject(failed(`did not acknowledge within ${opts.timeoutMs} ms`))),
      opts.timeoutMs,
    );
    const open = core.mux.open((arrival) => {
      if (arrival === 'disconnected')
        return end(() => reject(failed('cannot be reached: the connection to NATS broke')));
      if (nobodyListens(arrival)) return end(() => reject(failed('does not exist or has no leader')));
      end(() => {
        let ack: unknown;
        try {
          ack = arrival.json();
        } catch (cause) {
          return reject(failed('gave a malformed acknowledgement', cause));
        }
        const refused = pubError.safeParse(ack);
        if (refused.success) {
          const { err_code, description } = refused.data.error;
          return reject(
            err_code === wrongLastSequence || err_code === wrongLastSequenceUnknown
              ? new WrongRevision(subject, ack)
              : failed(`refused: ${description ?? 'no reason given'}`),
          );
        }
        const good = pubAck.safeParse(ack);
        if (!good.success) return reject(failed('gave a malformed acknowledgement', good.error));
        resolve({ stream: good.data.stream, seq: good.data.seq, duplicate: good.data.duplicate ?? false });
      });
    });
    try {
      core.nc.publish(subject, body, { reply: open.reply, headers: h });
    } catch (cause) {
      end(() => reject(failed('cannot be reached', cause)));
    }
  });
