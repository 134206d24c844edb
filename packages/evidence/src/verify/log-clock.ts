/** How far an event's time may lie from those around it, in milliseconds. */
export interface TimeTolerance {
  /** Against its neighbours in the log. A producer that was cut off writes late, so this cannot be small. */
  readonly neighboursMs: number;
  /** Against the event before it of the same producer: as far as a clock may be set back. */
  readonly producerMs: number;
}

export const TIME_TOLERANCE: TimeTolerance = { neighboursMs: 300_000, producerMs: 10_000 };

/** Judges each event's time by those of the entries around it, wherever they come from. */
export interface LogClock {
  /** Whether at least three quarters of the entries before it claim to be younger. */
  isBackdated(time: number): boolean;
  /** Takes the time of the next entry, and gives the entries before it that turned out to be post-dated. */
  push(index: number, time: number): Dated[];
  /** The same of those that still wait for the entries after them. */
  end(): Dated[];
}

export interface Dated {
  readonly index: number;
  readonly time: number;
}

const WINDOW = 64;
const MAJORITY = 0.75;

interface Candidate extends Dated {
  after: number;
  younger: number;
}

/**
 * Times in a log rise, with some disorder among producers. A lone wrong one must neither pass nor spoil its neighbours,
 * so the sixty-four entries on either side have a vote. That honest times pass a pause of any length follows from the
 * sides being judged apart: what comes after a pause is younger, never older.
 */
export function createLogClock(toleranceMs: number): LogClock {
  const recent: number[] = [];
  let at = 0;
  let highest = Number.NEGATIVE_INFINITY;
  let candidates: Candidate[] = [];

  const settle = (isDone: (candidate: Candidate) => boolean): Dated[] => {
    const done = candidates.filter(isDone);
    if (done.length === 0) return done;
    candidates = candidates.filter((each) => !isDone(each));
    return done.filter(({ after, younger }) => after > 0 && younger / after >= MAJORITY);
  };

  return {
    isBackdated(time) {
      if (time >= highest - toleranceMs) return false;
      const later = recent.filter((each) => each - toleranceMs > time).length;
      return recent.length > 0 && later / recent.length >= MAJORITY;
    },
    push(index, time) {
      for (const candidate of candidates) {
        candidate.after += 1;
        if (time < candidate.time - toleranceMs) candidate.younger += 1;
      }
      if (recent.length > 0 && time > highest + toleranceMs) candidates.push({ index, time, after: 0, younger: 0 });
      recent[at] = time;
      at = (at + 1) % WINDOW;
      highest = Math.max(highest, time);
      return candidates.length === 0 ? candidates : settle(({ after }) => after >= WINDOW);
    },
    end: () => settle(() => true),
  };
}
