import {
  formatNote,
  generateSigningKey,
  NOTE_COSIGNATURE,
  noteKey,
  parseNote,
  parseSignatureLines,
  signNote,
  verifyCosignature,
} from '@agentgate/evidence';
import { describe, expect, test } from 'vitest';
import { createWitness, type Seen, type WitnessState } from '../src/witness.ts';
import { createLog } from './log.ts';

const log = createLog('log.example/a');
const tree = log.grow();
const fork = log.grow({ salt: ' forged', from: 5 });
const signer = { name: 'witness.example/w1', key: generateSigningKey() };
const witnessKey = noteKey({ name: signer.name, type: NOTE_COSIGNATURE, publicKey: signer.key.publicKey });

const memory = () => {
  const logs = new Map<string, Seen & { note: string }>();
  const forks: { origin: string; note: string }[] = [];
  const state: WitnessState = {
    latest: (origin) => logs.get(origin),
    advance: (origin, from, to) => {
      if ((logs.get(origin)?.size ?? 0) !== from.size) return false;
      logs.set(origin, to);
      return true;
    },
    keepFork: (origin, { note }) => void forks.push({ origin, note }),
  };
  return { state, logs, forks };
};

const create = (state = memory().state) =>
  createWitness({ signer, logs: new Map([[log.origin, [log.noteKey]]]), state, now: () => 1_700_000_000_999 });
const bytes = (text: string) => Buffer.from(text);
const isCosigned = (body: string, note: string) => {
  const [signature, ...more] = parseSignatureLines(body);
  if (!signature || more.length > 0) return expect.fail(`not one signature: ${body}`);
  return verifyCosignature(parseNote(note).text, { signature, witness: witnessKey });
};

/** The state of the witness (the size it cosigned last; 0: it did not), what it is asked, and its answer. */
describe('add-checkpoint', () => {
  const first = tree.proof(7, 20)[0] as Uint8Array;
  test.each<[string, number, string, number, string]>([
    ['cosigns the first checkpoint of a log', 0, tree.ask(0, 7), 200, ''],
    ['cosigns the empty log', 0, tree.ask(0, 0), 200, ''],
    ['cosigns what continues', 7, tree.ask(7, 20), 200, ''],
    ['cosigns the same again', 7, tree.ask(7, 7), 200, ''],
    ['tells its size to whoever begins at 0', 7, tree.ask(0, 20), 409, '7\n'],
    ['tells its size to whoever is behind', 20, tree.ask(7, 30), 409, '20\n'],
    ['tells its size to whoever is ahead', 7, tree.ask(20, 30), 409, '7\n'],
    ['does not go back', 20, tree.ask(7, 7), 409, '20\n'],
    ['does not go back to 0', 20, tree.ask(0, 0), 409, '20\n'],
    ['refuses another tree of the same size', 7, fork.ask(7, 7), 409, '7\n'],
    ['refuses another tree of the same size by whoever is behind', 7, fork.ask(0, 7), 409, '7\n'],
    [
      'refuses a larger tree that does not continue',
      7,
      fork.ask(7, 20),
      422,
      'the checkpoint does not continue the one before by this proof\n',
    ],
    [
      'refuses a proof between other sizes',
      7,
      tree.ask(7, 20, { proof: tree.proof(7, 21) }),
      422,
      'the checkpoint does not continue the one before by this proof\n',
    ],
    [
      'refuses no proof',
      7,
      tree.ask(7, 20, { proof: [] }),
      422,
      'the checkpoint does not continue the one before by this proof\n',
    ],
    [
      'refuses a proof from 0 that is not empty',
      0,
      tree.ask(0, 20, { proof: [first] }),
      422,
      'the checkpoint does not continue the one before by this proof\n',
    ],
    [
      'refuses a proof of equal sizes that is not empty',
      7,
      tree.ask(7, 7, { proof: [first] }),
      422,
      'the checkpoint does not continue the one before by this proof\n',
    ],
    [
      'refuses an old size above the size',
      7,
      tree.ask(20, 7),
      400,
      'the old size is above the size of the checkpoint\n',
    ],
    ['refuses what is not a request', 7, 'old 07\n\nx', 400, 'the note has no blank line before its signatures\n'],
    ['refuses an empty body', 7, '', 400, 'the request does not begin with "old <size>"\n'],
  ])('%s', (_, from, body, status, says) => {
    const { state, logs } = memory();
    if (from > 0) logs.set(log.origin, { size: from, root: tree.root(from), note: tree.note(from) });
    const answer = create(state).addCheckpoint(bytes(body));
    expect({ status: answer.status, ...(status === 200 ? {} : { says: answer.body }) }).toEqual({
      status,
      ...(status === 200 ? {} : { says }),
    });
    expect(answer.type).toBe(status === 409 ? 'text/x.tlog.size' : 'text/plain; charset=utf-8');
    if (status !== 200) expect(logs.get(log.origin)?.size ?? 0).toBe(from);
    else {
      const size = Number(body.split('\n\n')[1]?.split('\n')[1]);
      expect(isCosigned(answer.body, tree.note(size))).toMatchObject({ ok: true, time: 1_700_000_000 });
      expect(logs.get(log.origin)?.size ?? 0).toBe(size);
    }
  });

  test('answers 404 for a log that it does not know, whatever the signature', () => {
    const other = createLog('log.example/b').grow();
    expect(create().addCheckpoint(bytes(other.ask(0, 7)))).toMatchObject({ status: 404 });
  });

  test('answers 403 where no key of the log signed, before it tells any size', () => {
    const thief = createLog(log.origin).grow();
    const { state, logs } = memory();
    logs.set(log.origin, { size: 7, root: tree.root(7), note: tree.note(7) });
    expect(create(state).addCheckpoint(bytes(thief.ask(20, 7)))).toMatchObject({
      status: 403,
      body: 'no trusted key signed the note\n',
    });
  });

  test('ignores signatures of keys that it does not know', () => {
    const { text, signatures } = parseNote(tree.note(7));
    const stranger = signNote(text, { name: 'somebody.example', key: generateSigningKey() });
    const note = formatNote({ text, signatures: [stranger, ...signatures] });
    expect(create().addCheckpoint(bytes(tree.ask(0, 7, { note })))).toMatchObject({ status: 200 });
  });

  test('keeps both checkpoints of a fork', () => {
    const { state, logs, forks } = memory();
    logs.set(log.origin, { size: 7, root: tree.root(7), note: tree.note(7) });
    expect(create(state).addCheckpoint(bytes(fork.ask(7, 7))).about).toEqual({
      origin: log.origin,
      size: 7,
      fork: true,
    });
    expect(forks).toEqual([{ origin: log.origin, note: fork.note(7) }]);
  });

  test('signs nothing when it cannot remember', () => {
    const failing: WitnessState = {
      ...memory().state,
      advance: () => {
        throw new Error('EIO');
      },
    };
    expect(() => create(failing).addCheckpoint(bytes(tree.ask(0, 7)))).toThrow('EIO');
  });

  test('signs nothing when another was faster, and tells its size', () => {
    const { state, logs } = memory();
    const overtaken: WitnessState = {
      ...state,
      advance: (origin) => {
        logs.set(origin, { size: 20, root: tree.root(20), note: tree.note(20) });
        return false;
      },
    };
    expect(create(overtaken).addCheckpoint(bytes(tree.ask(0, 7)))).toMatchObject({ status: 409, body: '20\n' });
  });
});

test('never signs two trees of one size, and never goes back, whatever it is asked in whatever order', () => {
  let seed = 1;
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const witness = create();
  const signed = new Map<number, string>();
  let highest = 0;
  let good = 0;
  for (let i = 0; i < 1_000; i++) {
    const [history, other] = random(2) === 0 ? [tree, fork] : [fork, tree];
    const size = Math.min(40, Math.max(0, highest + random(9) - 4));
    const oldSize = random(3) === 0 ? Math.min(40, random(highest + 3)) : highest;
    const proof = random(4) === 0 && oldSize <= size ? other.proof(oldSize, size) : undefined;
    const answer = witness.addCheckpoint(bytes(history.ask(oldSize, size, proof && { proof })));
    if (answer.status !== 200) continue;
    good++;
    const root = Buffer.from(history.root(size)).toString('hex');
    expect(signed.get(size) ?? root).toBe(root);
    expect(size).toBeGreaterThanOrEqual(highest);
    signed.set(size, root);
    highest = size;
  }
  expect(good).toBeGreaterThan(20);
});
