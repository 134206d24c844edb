import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Bus, WrongRevision } from '@agentgate/bus';
import { AgentGateError, type KillRecord, killRecord, killStream, killSubject, scopeKey } from '@agentgate/contracts';
import type { OrderStream } from '../ports.ts';

const attempts = 3;
const ackMs = 1_000;
const pauseMs = 200;
/**
 * The client leaves a question that was lost with the connection waiting for its whole time. Well below the stale limit, so that the next
 * question comes in time to keep the orders fresh.
 */
const leaderMs = 750;

/**
 * Orders on JetStream. An acknowledgement may be lost although the order is on disk: each attempt carries the same message id, so that the stream
 * stores it once and acknowledges it again.
 */
export const createKillStream = (bus: Pick<Bus, 'publishDurable' | 'lastMessage' | 'streamInfo'>): OrderStream => {
  const last = async (key: string) => {
    const found = await leaderAnswers(bus.lastMessage(killStream.name, killSubject(key)));
    return found && { epoch: found.seq, text: new TextDecoder().decode(found.data) };
  };

  const write = async (record: KillRecord, expected?: number): Promise<number | 'conflict'> => {
    const key = scopeKey(record.scope);
    const body = JSON.stringify(record);
    const options = {
      id: randomUUID(),
      timeoutMs: ackMs,
      ...(expected === undefined ? {} : { expectedLastSubjectSeq: expected }),
    };
    for (let attempt = 1; ; attempt++) {
      try {
        const ack = await bus.publishDurable(killSubject(key), body, { ...options });
        if (ack.stream !== killStream.name)
          throw new AgentGateError(
            'KILL_SWITCH_UNAVAILABLE',
            `stream ${ack.stream} took the order instead of ${killStream.name}`,
          );
        return ack.seq;
      } catch (error) {
        if (error instanceof WrongRevision) {
          const stands = attempt > 1 ? await last(key) : undefined;
          return stands?.text === body ? stands.epoch : 'conflict';
        }
        if (attempt === attempts)
          throw new AgentGateError(
            'KILL_SWITCH_UNAVAILABLE',
            'the KILL stream did not acknowledge the order: it may stand, repeat it',
            { cause: error },
          );
        await sleep(pauseMs);
      }
    }
  };

  return {
    write,
    last: async (key) => {
      const found = await last(key);
      return found && { epoch: found.epoch, record: parseRecord(found.text) };
    },
    leader: async () => {
      const { created, lastSeq } = await leaderAnswers(within(leaderMs, bus.streamInfo(killStream.name)));
      return { stream: created, epoch: lastSeq };
    },
  };
};

const parseRecord = (text: string): KillRecord | undefined => {
  try {
    return killRecord.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
};

const within = async <T>(ms: number, answer: Promise<T>): Promise<T> => {
  const { promise: tooLate, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  try {
    return await Promise.race([answer, tooLate]);
  } finally {
    clearTimeout(timer);
  }
};

const leaderAnswers = async <T>(answer: Promise<T>): Promise<T> => {
  try {
    return await answer;
  } catch (cause) {
    throw new AgentGateError('KILL_SWITCH_UNAVAILABLE', 'the KILL stream does not answer', { cause });
  }
};
