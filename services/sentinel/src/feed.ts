import type { Bus, Follower, Log, StreamMessage } from '@agentgate/bus';
import { checkpointSubject, evidenceStream } from '@agentgate/contracts';
import type { Positions } from './adapters/position-bucket.ts';
import { indexOf, type Place, placeBefore } from './place.ts';
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
  bus: Pick<Bus, 'follow' | 'streamInfo' | 'lastMessage' | 'messageAt'>;
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

export const startFeed = async (deps: FeedDeps): Promise<Feed> => {
  const { bus, watch, reader, log } = deps;
  const start = await bus.streamInfo(evidenceStream.name);
  // Entries that no rule asks for stay where they are; the checkpoints behind them say how far the log is.
  const subjects = [...reader.subjects, checkpointSubject];
  const stands = await Promise.all(subjects.map((subject) => bus.lastMessage(evidenceStream.name, subject)));
  const goal = Math.max(0, ...stands.map((message) => message?.seq ?? 0));
  // What was counted may stand at other sequences by now: the log's index tells where the rest begins.
  const begin = await placeBefore(bus, {
    index: deps.from === undefined ? Number.POSITIVE_INFINITY : watch.index(),
    seq: Math.min(deps.from ?? start.lastSeq, start.lastSeq),
    firstSeq: start.firstSeq,
  });
  let seen = begin.seq;
  /** Where it is known how far the log is; unknown only where nothing was read and nothing stands before. */
  let place: Place | undefined = begin.index === undefined ? undefined : { seq: begin.seq, index: begin.index };
  /** Messages behind `place` that are no entries. */
  let others = 0;
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
  const rewritten = (before: number, seq: number) =>
    deps.broken(`EVIDENCE was written anew: entries after ${before} stand before ${seq}, where it was read already`);
  /** Every checkpoint is read, so between two that are read stand entries alone. Where the log is further than by those, some stand before. */
  const reach = ({ seq, index }: Place): boolean => {
    if (place && index - place.index > seq - place.seq - others) {
      rewritten(place.index, seq);
      return false;
    }
    place = { seq, index };
    others = 0;
    readIndex = index;
    return true;
  };
  const take = (at: Place, happened: () => ReturnType<typeof read>): boolean => {
    if (!reach(at)) return false;
    if (at.index > watch.index()) watch.take(at.index, happened());
    return true;
  };
  const follower: Follower = await bus.follow(evidenceStream.name, {
    from: seen + 1,
    subjects,
    wait: false,
    onMessage: (message) => {
      seen = message.seq;
      passed = message.subject === checkpointSubject ? message : undefined;
      const index = passed ? Number.NaN : indexOf(message);
      if (!Number.isSafeInteger(index)) {
        others++;
        return;
      }
      take({ seq: message.seq, index }, () => read(message));
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
      const [readTo, known] = [seen, place];
      const [{ lastSeq }, pending, there] = await Promise.all([
        bus.streamInfo(evidenceStream.name),
        follower.pending(),
        known && bus.messageAt(evidenceStream.name, known.seq),
      ]);
      if (lastSeq < readTo) return deps.broken(`EVIDENCE ends at ${lastSeq}, and was read to ${readTo}`);
      // As long as nothing comes behind it, nothing else would tell.
      if (known && there && indexOf(there) > known.index) return rewritten(known.index, known.seq);
      behind = pending;
      if (passed && !take({ seq: passed.seq, index: indexOf(passed) }, () => undefined)) return;
      const [seq, state] = [seen, watch.state()];
      if (state.index === saved) return;
      await deps.positions.save({ seq, state });
      saved = state.index;
    },
    close: () => follower.close(),
  };
};
