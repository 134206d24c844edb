import {
  type EvidenceEvent,
  formatNote,
  generateSigningKey,
  leafHash,
  parseNote,
  signCosignature,
  verifyProof,
  witnessPolicy,
  witnessVerifierKey,
} from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { createWitnessedEvents } from '../src/witnessed-events.ts';
import { growingLog, origin } from './witness-kit.ts';

const witness = { name: 'witness.example/a', key: generateSigningKey() };
const policy = witnessPolicy({ vkeys: [witnessVerifierKey(witness.name, witness.key.publicKey)], quorum: 1 });
const decision = (id: string, obligations: object = { witnessed: true }, extra = '') =>
  `{"event":${JSON.stringify({ data: { decision: { obligations }, extra }, id })},"seal":{}}`;

const setUp = (opts: { why?: string } = {}) => {
  const log = growingLog();
  const clock = { now: 1_000 };
  const events = createWitnessedEvents({ proofs: log.proofs, now: () => clock.now, ...opts });
  const entries: string[] = [];
  const append = (text: string) => {
    const { event } = JSON.parse(text) as { event: EvidenceEvent };
    events.onAppended({ event, bytes: Buffer.from(text) }, entries.length);
    entries.push(text);
  };
  const cosign = () => {
    const { size, note } = log.grow(entries.length - grown, (i) => entries[i] ?? '');
    grown = entries.length;
    const { text, signatures } = parseNote(note);
    events.onCosigned({
      size,
      note: formatNote({ text, signatures: [...signatures, signCosignature(text, { ...witness, time: 1 })] }),
    });
  };
  let grown = 0;
  const verify = ({ entry, proof }: { entry: string; proof: string }) =>
    verifyProof(proof, { leafHash: leafHash(entry), origin, keys: [log.noteKey], witnesses: policy });
  return { events, append, cosign, verify, clock };
};
const failed = (message: string) => expect.objectContaining({ code: 'EVIDENCE_UNAVAILABLE', message });

test('gives the entry and its proof once a cosigned checkpoint covers it, and not before', async () => {
  const { events, append, cosign, verify } = setUp();
  append(decision('evt_before', {}));
  cosign();
  let given: { entry: string; proof: string } | undefined;
  const waiting = events.wait('evt_1', 10_000).then((found) => {
    given = found;
  });
  append(decision('evt_1'));
  for (let i = 0; i < 300; i++) append(decision(`evt_after_${i}`, {}));
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(given).toBeUndefined();
  cosign();
  await waiting;
  if (!given) return expect.fail('nothing was given');
  expect(given.entry).toBe(decision('evt_1'));
  expect(verify(given)).toMatchObject({ ok: true, proof: { index: 1 } });
  expect(events.waiting).toBe(0);
});

test('answers at once for what is witnessed already, to each who asks', async () => {
  const { events, append, cosign, verify } = setUp();
  append(decision('evt_1'));
  cosign();
  for (const found of await Promise.all([events.wait('evt_1', 2_000), events.wait('evt_1', 2_000)]))
    expect(verify(found)).toMatchObject({ ok: true });
});

test.each([
  ['nobody cosigned it', true, 'the decision was not witnessed in time: no quorum of witnesses has cosigned it'],
  ['it did not come', false, 'the decision was not witnessed in time: it is not in the evidence log'],
])('gives up at the deadline when %s', async (_, comes, message) => {
  const { events, append, cosign, clock } = setUp();
  append(decision('evt_other', {}));
  cosign();
  if (comes) append(decision('evt_1'));
  await expect(events.wait('evt_1', clock.now + 20)).rejects.toEqual(failed(message));
  expect(events.waiting).toBe(0);
});

test('does not wait beyond a deadline that is over, nor where there are no witnesses', async () => {
  const { events, clock } = setUp();
  await expect(events.wait('evt_1', clock.now)).rejects.toEqual(failed('the deadline passed'));
  const alone = setUp({ why: 'no witness is configured' });
  await expect(alone.events.wait('evt_1', 10_000)).rejects.toEqual(failed('no witness is configured'));
});

test('remembers only decisions that are to be witnessed, whatever their arguments say', async () => {
  const { events, append, cosign, clock } = setUp();
  append(decision('evt_1', {}, '"witnessed":true'));
  append(`{"event":{"data":{"witnessed":true},"id":"evt_2"},"seal":{}}`);
  cosign();
  for (const event of ['evt_1', 'evt_2'])
    await expect(events.wait(event, clock.now + 5)).rejects.toEqual(
      failed('the decision was not witnessed in time: it is not in the evidence log'),
    );
});

test('is bounded', async () => {
  const { events } = setUp();
  const waiting = Array.from({ length: 4_096 }, (_, i) => events.wait(`evt_${i}`, 1_050).catch(() => {}));
  await expect(events.wait('evt_x', 1_050)).rejects.toMatchObject({ code: 'OVERLOADED' });
  await Promise.all(waiting);
  expect(events.waiting).toBe(0);
});
