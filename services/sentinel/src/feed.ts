import type { Bus, Follower, Log, StreamMessage } from '@agentgate/bus';
import { checkpointSubject, evidenceStream } from '@agentgate/contracts';
import type { Positions } from './adapters/position-bucket.ts';
import type { EventReader } from './read-event.ts';
import type { Watch } from './watch.ts';

/** Follows EVIDENCE from where the last life, or another replica, had got to. */
export interface Feed {
  /** Messages of the stream that are not read yet, when it was last asked. */
  behind(): number;
  /** Everything that stood in the stream at the start was read: what the rules say now is of today. */
  caughtUp(): boolean;
  /** All that is there was counted long ago: the log was begun anew, or an older one was restored. */
  isOld(): boolean;
  /** To be called each second: asks how far the stream is, and writes down how far this is. */
  tick(): Promise<void>;
  close(): Promise<void>;
}

export interface FeedDeps {
  bus: Pick<Bus, 'follow' | 'streamInfo'>;
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
  // A server that crashed may have lost the stream's end; audit writes it again, and the log's index tells what was counted.
  let seen = Math.min(deps.from ?? start.lastSeq, start.lastSeq);
  let behind = start.lastSeq - seen;
  let saved = -1;
  /** Of the last event that was read, counted or not. */
  let readIndex = watch.index();
  /** The last entry of no interest: where it stands is only looked at once a second. */
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
  const take = (message: StreamMessage, happened: (message: StreamMessage) => ReturnType<typeof read>) => {
    passed = undefined;
    const index = Number(message.header('Ag-Index') ?? Number.NaN);
    if (!Number.isSafeInteger(index)) return;
    readIndex = index;
    if (index > watch.index()) watch.take(index, happened(message));
  };
  const follower: Follower = await bus.follow(evidenceStream.name, {
    from: seen + 1,
    wait: false,
    onMessage: (message) => {
      seen = message.seq;
      const { subject } = message;
      // A checkpoint stands behind every batch of entries, and stands at no place among them.
      if (subject === checkpointSubject) return;
      if (!reader.isOfInterest(subject)) {
        passed = message;
        return;
      }
      take(message, read);
      if (watch.pending().length > 0) deps.onPending();
    },
  });
  return {
    behind: () => behind,
    isOld: () => behind === 0 && readIndex < watch.index(),
    caughtUp: () => seen >= start.lastSeq,
    tick: async () => {
      // Taken before the question: what comes while the answer is on its way is newer than the answer.
      const readTo = seen;
      const { lastSeq } = await bus.streamInfo(evidenceStream.name);
      if (lastSeq < readTo) return deps.broken(`EVIDENCE ends at ${lastSeq}, and was read to ${readTo}`);
      behind = Math.max(0, lastSeq - seen);
      if (passed) take(passed, () => undefined);
      const [seq, state] = [seen, watch.state()];
      if (state.index === saved) return;
      await deps.positions.save({ seq, state });
      saved = state.index;
    },
    close: () => follower.close(),
  };
};
