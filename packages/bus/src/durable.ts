import { AgentGateError } from '@agentgate/contracts';
import { MsgHdrsImpl } from '@nats-io/transport-node';
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
    const h = toHeaders(opts.id, opts.headers ?? {});
    if (opts.expectedLastSubjectSeq !== undefined)
      h.append('Nats-Expected-Last-Subject-Sequence', String(opts.expectedLastSubjectSeq));
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

/** One message of a run; `id` and `headers` as in PublishOptions. */
export interface RunMessage {
  subject: string;
  body: Uint8Array | string;
  id: string;
  headers: Record<string, string>;
}

/**
 * Publishes messages that must stand in the stream one after the other, the first right after `lastSeq`. The stream takes each only
 * right after the one before it, so the last one's acknowledgement stands for all, and the others ask for none. Two sequences alone
 * would not do: where the first is refused, the second might be just the one that the stream expects.
 */
export const publishRun = async (
  core: Core,
  run: readonly RunMessage[],
  { lastSeq, timeoutMs }: { lastSeq: number; timeoutMs: number },
): Promise<void> => {
  const last = run.at(-1);
  if (!last) return;
  const inPlace = (n: number): Record<string, string> => {
    const before = run[n - 1];
    return before ? { 'Nats-Expected-Last-Msg-Id': before.id } : { 'Nats-Expected-Last-Sequence': String(lastSeq) };
  };
  try {
    for (const [n, { subject, body, id, headers }] of run.slice(0, -1).entries())
      core.nc.publish(subject, body, { headers: toHeaders(id, { ...headers, ...inPlace(n) }) });
  } catch (cause) {
    throw new AgentGateError('EVIDENCE_UNAVAILABLE', 'the stream cannot be reached', { cause });
  }
  const { seq, duplicate } = await publishDurable(core, last.subject, last.body, {
    id: last.id,
    headers: { ...last.headers, ...inPlace(run.length - 1) },
    timeoutMs,
  });
  const wanted = lastSeq + run.length;
  if (duplicate || seq !== wanted)
    throw new AgentGateError('INTERNAL', `the stream has ${last.id} at ${seq} already, and not at ${wanted}`);
};

const toHeaders = (id: string | undefined, more: Record<string, string>): MsgHdrsImpl => {
  const h = new WrittenHeaders();
  if (id !== undefined) h.append('Nats-Msg-Id', id);
  for (const key in more) h.append(key, more[key] as string);
  return h;
};

const headerName = /^[A-Za-z][A-Za-z-]*$/;
const lineEnd = /[\r\n]/;

/**
 * Headers that are only sent. The client's own keep and compare what they hold, name by name, which for messages by the thousand costs as
 * much as all else about publishing them.
 */
class WrittenHeaders extends MsgHdrsImpl {
  #text = 'NATS/1.0\r\n';

  override append(name: string, value: string): void {
    if (!headerName.test(name) || lineEnd.test(value)) throw new AgentGateError('INTERNAL', `bad header ${name}`);
    this.#text += `${name}: ${value}\r\n`;
  }

  override set(name: string): never {
    throw new AgentGateError('INTERNAL', `header ${name} is set where headers are only written`);
  }

  override encode(): Uint8Array {
    return Buffer.from(`${this.#text}\r\n`);
  }
}
