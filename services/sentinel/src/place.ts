import type { Bus, StreamMessage } from '@agentgate/bus';
import { checkpointSubject, evidenceStream } from '@agentgate/contracts';
import { parseCheckpoint, parseNote } from '@agentgate/evidence';

/**
 * How far the log is at a sequence of EVIDENCE. Sequences alone do not say it: a server that crashed may have lost the stream's end, and what
 * audit writes again may stand earlier than before, since not every checkpoint in between comes again.
 */
export interface Place {
  seq: number;
  /** Of the last entry that stands there or before. */
  index: number;
}

const decoder = new TextDecoder();
/** A message that is lost, or none of audit's, is passed over: to read some twice does no harm. */
const passedOver = 100;

/** Of a checkpoint, that of the last entry that it covers: it stands right behind it. */
export const indexOf = ({ subject, data, header }: Pick<StreamMessage, 'subject' | 'data' | 'header'>) =>
  subject === checkpointSubject
    ? parseCheckpoint(parseNote(decoder.decode(data)).text).size - 1
    : Number(header('Ag-Index') ?? Number.NaN);

/**
 * The last sequence up to `seq`, and not before `firstSeq`, at which the log is no further than `index`: what is above it comes after. Each
 * sequence brings the log further by one entry at most, so none is passed over on the way back.
 */
export const placeBefore = async (
  bus: Pick<Bus, 'messageAt'>,
  { index, seq, firstSeq }: Place & { firstSeq: number },
): Promise<{ seq: number; index?: number }> => {
  let at = seq;
  // A stream that never held anything begins at 0.
  while (at >= Math.max(1, firstSeq)) {
    const message = await bus.messageAt(evidenceStream.name, at);
    const there = message ? indexOf(message) : Number.NaN;
    if (there <= index) return { seq: at, index: there };
    at -= Number.isNaN(there) ? passedOver : there - index;
  }
  return { seq: Math.max(0, at) };
};
