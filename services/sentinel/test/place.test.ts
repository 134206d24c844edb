import { checkpointSubject } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { placeBefore } from '../src/place.ts';

const root = Buffer.alloc(32).toString('base64');
/** `e` is an entry, `c` a checkpoint behind it, `.` a message that is lost; the first has sequence 1. */
const streamOf = (text: string, first = 0) => {
  let index = first - 1;
  const places = [...text].map((kind) => {
    if (kind !== 'c') index++;
    return { kind, index };
  });
  const asked: number[] = [];
  return {
    indexAt: (seq: number) => places[seq - 1]?.index ?? first - 1,
    asked,
    bus: {
      messageAt: async (_stream: string, seq: number) => {
        asked.push(seq);
        const { kind, index } = places[seq - 1] ?? { kind: '.', index: 0 };
        if (kind === '.') return undefined;
        return {
          subject: kind === 'c' ? checkpointSubject : 'evidence.v1.default.x',
          data: Buffer.from(`test.local/log\n${index + 1}\n${root}\n\n— test.local/log ${root}\n`),
          header: () => (kind === 'c' ? undefined : String(index)),
        };
      },
    },
  };
};

test('is the last place where nothing above the index stands, whatever checkpoints there are', async () => {
  const text = 'ecceeeceececccceeeeeeecec';
  const { bus, indexAt } = streamOf(text);
  for (let seq = 1; seq <= text.length; seq++) {
    for (let index = 0; index < 20; index++) {
      let wanted = seq;
      while (indexAt(wanted) > index) wanted--;
      expect(await placeBefore(bus, { index, seq, firstSeq: 1 })).toEqual({ seq: wanted, index: indexAt(wanted) });
    }
  }
});

test('is where it was read to, by one question, where nothing was written anew', async () => {
  const { bus, asked } = streamOf('eeceeceec');
  expect(await placeBefore(bus, { index: 3, seq: 6, firstSeq: 1 })).toEqual({ seq: 6, index: 3 });
  expect(asked).toEqual([6]);
});

test('is earlier rather than later where messages are lost', async () => {
  const { bus } = streamOf(`eee${'.'.repeat(150)}ee`);
  expect(await placeBefore(bus, { index: 151, seq: 155, firstSeq: 1 })).toMatchObject({
    seq: expect.toSatisfy((seq) => seq <= 152),
  });
});

test.each([
  ['nothing stands yet', 'e', { index: -1, seq: 0, firstSeq: 0 }, { seq: 0 }],
  ['what was read went already', '...eee', { index: 1, seq: 2, firstSeq: 4 }, { seq: 2 }],
  ['all that is left is above it', '...eee', { index: 1, seq: 6, firstSeq: 4 }, { seq: 2 }],
])('is before the first message where %s', async (_, text, asked, place) => {
  expect(await placeBefore(streamOf(text).bus, asked)).toEqual(place);
});
