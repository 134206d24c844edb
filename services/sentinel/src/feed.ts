import type { Bus, Follower, Log, StreamMessage } from '@agentgate/bus';
import { checkpointSubject, evidenceStream } from '@agentgate/contracts';
import { parseCheckpoint, parseNote } from '@agentgate/evidence';
import type { Positions } from './adapters/position-bucket.ts';
import type { EventReader } from './read-event.ts';
import type { Watch } from './watch.ts';

/** Follows EVIDENCE from where the last life, or another replica, had got to. */
export interface Feed {
  /** Messages that are to be read and did not arrive yet, when it was last asked. */
  behind(): number;
  /** All that a rule asks for and that stood in the stream at the start was read: what the rules say now is of today. */
  caughtUp(): boolean;
  /** All that is there was counted long ago: the log was begun anew, or an older one was restored. */
  isOld(): boolean;
  /** To be called each second: asks how far the stream is, and writes down how far this is. */
  tick(): Promise<void>;
  close(): Promise<void>;
}

export interface FeedDeps {
  bus: Pick<Bus, 'follow' | 'streamInfo' | 'lastMessage'>;
  positions: Pick<Positions, 'save'>;
  /** The sequence that was read last, where somebody read before. */
  from: number | undefined;
  watch: Watch;
  reader: EventReader;
  log: Log;
  /** Something is to be stopped. */
  onPending(): void;
  onRefused(): void;
  /** The stream is not what was read: starting anew is right, going on is not. */
  broken(why: string): void;
}

const decoder = new TextDecoder();
/** A checkpoint stands right behind the last entry that it covers. */
const lastIndexOf = (note: Uint8Array) => parseCheckpoint(parseNote(decoder.decode(note)).text).size - 1;

export const startFeed = async (deps: FeedDeps): Promise<Feed> => {
  const { bus, watch, reader, log } = deps;
  const start = await bus.streamInfo(evidenceStream.name);
  // Entries that no rule asks for stay where they are; the checkpoints behind them say how far the log is.
  const subjects = [...reader.subjects, checkpointSubject];
  const stands = await Promise.all(subjects.map((subject) => bus.lastMessage(evidenceStream.name, subject)));
  const goal = Math.max(0, ...stands.map((message) => message?.seq ?? 0));
  // A server that crashed may have lost the stream's end; audit writes it again, and the log's index tells what was counted.
  let seen = Math.min(deps.from ?? start.lastSeq, start.lastSeq);
  let saved = -1;
  /** How far the log was read, counted or not. */
  let readIndex = watch.index();
  /** A checkpoint, while it is the last that was read: how far it is is only looked at once a second. */
  let passed: StreamMessage | undefined;

  const read = ({ subject, data, time }: StreamMessage) => {
    try {
      const happening = reader.read(subject, decoder.decode(data));
      // No producer's clock counts ahead of the stream's own.
      return happening && { ...happening, at: Math.min(happening.at, Date.parse(time)) };
    } catch (error) {
      deps.onRefused();
      log.error({ err: error, subject }, 'an entry of EVIDENCE counts for nothing');
      return undefined;
    }
  };
  const take = (index: number, happened: () => ReturnType<typeof read>) => {
    if (!Number.isSafeInteger(index)) return;
    readIndex = index;
    if (index > watch.index()) watch.take(index, happened());
  };
  const follower: Follower = await bus.follow(evidenceStream.name, {
    from: seen + 1,
    subjects,
    wait: false,
    onMessage: (message) => {
      seen = message.seq;
      passed = message.subject === checkpointSubject ? message : undefined;
      if (passed) return;
      take(Number(message.header('Ag-Index') ?? Number.NaN), () => read(message));
      if (watch.pending().length > 0) deps.onPending();
    },
  });
  let behind = await follower.pending();
  return {
    behind: () => behind,
    isOld: () => behind === 0 && readIndex < watch.index(),
    caughtUp: () => seen >= goal,
    tick: async () => {
      // Taken before the question: what comes while the answer is on its way is newer than the answer.
      const readTo = seen;
      const [{ lastSeq }, pending] = await Promise.all([bus.streamInfo(evidenceStream.name), follower.pending()]);
      if (lastSeq < readTo) return deps.broken(`EVIDENCE ends at ${lastSeq}, and was read to ${readTo}`);
      behind = pending;
      if (passed) take(lastIndexOf(passed.data), () => undefined);
      const [seq, state] = [seen, watch.state()];
      if (state.index === saved) return;
      await deps.positions.save({ seq, state });
      saved = state.index;
    },
    close: () => follower.close(),
  };
};
