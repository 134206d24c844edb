import type { ExecuteAsk } from '@agentgate/contracts';
import {
  createChain,
  createKeyRing,
  createTree,
  entryText,
  formatNote,
  formatProof,
  generateSigningKey,
  inclusionProof,
  leafHash,
  NOTE_ED25519,
  noteKey,
  parseNote,
  type SigningKey,
  saltedDigest,
  sealBatch,
  signCheckpoint,
  signCosignature,
  witnessPolicy,
  witnessVerifierKey,
} from '@agentgate/evidence';
import { describe, expect, test } from 'vitest';
import { createWitnessCheck } from '../src/witness-check.ts';
import { now } from './fixtures/fakes.ts';
import { permitted } from './fixtures/permitted.ts';

const origin = 'log.example/gate';
const keys = { ingress: generateSigningKey(), policy: generateSigningKey(), log: generateSigningKey() };
const witnesses = ['a', 'b', 'c'].map((n) => ({ name: `witness.example/${n}`, key: generateSigningKey() }));
const ring = createKeyRing([
  { signer: 'agentgate/ingress/', publicKey: keys.ingress.publicKey },
  { signer: 'agentgate/policy/', publicKey: keys.policy.publicKey },
]);
const logKeys = [noteKey({ name: origin, type: NOTE_ED25519, publicKey: keys.log.publicKey })];
const policy = witnessPolicy({
  vkeys: witnesses.map(({ name, key }) => witnessVerifierKey(name, key.publicKey)),
  quorum: 2,
});
const check = createWitnessCheck({ keys: ring, witnesses: { origin, keys: logKeys, policy, each: [] } });

const obligations = { witnessed: true };
const ask = permitted({ now, claims: { obligations } });

interface Spoil {
  source?: string;
  type?: string;
  key?: SigningKey;
  who?: object;
  data?: object;
}

/** The entry of an honest ingress, except for what a test spoils. */
const entryOf = (
  of: ExecuteAsk,
  { source = 'agentgate/ingress/a1', key = keys.ingress, who, data, type }: Spoil = {},
) => {
  const { claims } = of.permit;
  const { event, text } = createChain({ source, epoch: 'epoch-1' }).next({
    id: 'evt_0123456789',
    type: type ?? 'agentgate.call.decided.v1',
    subject: of.call,
    time: '2026-01-01T00:00:00.000Z',
    ...{ tenant: of.tenant, agent: of.agent, session: of.session, ...who },
    data: withoutUndefined({
      arguments: of.arguments,
      call: of.call,
      deadline: claims.deadline,
      decision: { action: 'allow', code: 'OK', reason: 'granted', obligations: claims.obligations },
      kill_epoch: 1,
      policy: claims.policy,
      tool: of.tool,
      ...data,
    }),
  });
  const lines = [event.source, event.producerepoch];
  const [seal] = sealBatch({ domain: 'agentgate-seal-v1', lines, leaves: [text], key });
  if (!seal) throw new Error('no seal');
  return entryText({ event, seal });
};

const withoutUndefined = (data: object) => JSON.parse(JSON.stringify(data)) as Record<string, unknown>;

/** A proof in a log of three entries, cosigned by the first two witnesses except for what a test spoils. */
const proofOf = (entry: string, { by = witnesses.slice(0, 2), key = keys.log, name = origin, among = entry } = {}) => {
  const leaves = ['one', among, 'three'].map((leaf) => leafHash(leaf));
  const tree = createTree();
  for (const leaf of leaves) tree.push(leaf);
  const { text, signatures } = parseNote(signCheckpoint({ origin: name, size: 3, root: tree.root() }, key));
  const cosignatures = by.map((witness) => signCosignature(text, { ...witness, time: 1_700_000_000 }));
  const path = inclusionProof({ index: 1, size: 3, readTile: () => Buffer.concat(leaves) });
  return formatProof({
    index: 1,
    path,
    checkpoint: formatNote({ text, signatures: [...signatures, ...cosignatures] }),
  });
};
const salt = Buffer.alloc(32, 5).toString('base64url');
const withProof = (of: ExecuteAsk, entry: string, proof = proofOf(entry)): ExecuteAsk => ({
  ...of,
  witnessed: { entry, proof, salt },
});
const run = (of: ExecuteAsk) => check(of, of.permit.claims);
const asks = 'the permit asks for witnesses of the decision: ';

test('lets pass what two of three witnesses saw', () => {
  expect(() => run(withProof(ask, entryOf(ask)))).not.toThrow();
});

test('asks for nothing where the permit does not', () => {
  expect(() => run(permitted({ now }))).not.toThrow();
});

test.each([
  ['as a digest', { arguments: undefined, arguments_digest: digestOf(ask.arguments) }, {}],
  [
    'as a digest of what is left of them',
    { arguments: undefined, arguments_digest: digestOf({ text: '[redacted]' }), redacted: ['/text'] },
    { redact: { arguments: ['/text'] } },
  ],
  [
    'with what is redacted taken out',
    { arguments: { text: '[redacted]' }, redacted: ['/text'] },
    { redact: { arguments: ['/text'] } },
  ],
])('lets pass a decision that holds the arguments %s', (_, data, more) => {
  const of = permitted({ now, claims: { obligations: { ...obligations, ...more } } });
  expect(() => run(withProof(of, entryOf(of, { data })))).not.toThrow();
});

test('refuses a decision that holds a digest which nothing opens', () => {
  const data = { arguments: undefined, arguments_digest: digestOf(ask.arguments) };
  const { witnessed, ...rest } = withProof(ask, entryOf(ask, { data }));
  if (!witnessed) throw new Error('no proof');
  const { salt: _, ...without } = witnessed;
  expect(() => run({ ...rest, witnessed: without })).toThrow(`${asks}the entry shows other arguments`);
});

function digestOf(args: unknown) {
  return { sha256: saltedDigest(args, salt).digest, bytes: 16 };
}

describe('a compromised ingress gets nothing run', () => {
  const entry = entryOf(ask);
  const other = permitted({ now, claims: { obligations } });
  const invented = generateSigningKey();
  test.each<[string, ExecuteAsk, string]>([
    ['without a proof', ask, 'no proof came with it'],
    ['with the proof of another call', withProof(ask, entryOf(other)), 'the entry is about another call'],
    [
      'with the proof of another entry',
      withProof(ask, entry, proofOf(entryOf(other))),
      "the path does not lead from leaf 1 to the checkpoint's root",
    ],
    [
      'with an entry that it invented',
      withProof(ask, entryOf(ask, { key: invented })),
      `the entry is not one: no key ${invented.keyid} of agentgate/ingress/a1`,
    ],
    [
      'with what is no entry',
      withProof(ask, '{}', proofOf('{}')),
      'the entry is not one: not the canonical form of an entry of at most 65535 bytes',
    ],
    [
      'with an event of another service',
      withProof(ask, entryOf(ask, { source: 'agentgate/policy/a1', key: keys.policy })),
      'the entry is not a decision of ingress',
    ],
    [
      'with an event of another type',
      withProof(ask, entryOf(ask, { type: 'agentgate.call.completed.v1' })),
      'the entry is not a decision of ingress',
    ],
    [
      'with a decision of no form',
      withProof(ask, entryOf(ask, { data: { tool: 7 } })),
      'the entry is not a decision of this version',
    ],
    [
      'with a decision about another tool',
      withProof(ask, entryOf(ask, { data: { tool: 'probe/other' } })),
      'the entry is about another tool',
    ],
    [
      'with a decision about another agent',
      withProof(ask, entryOf(ask, { who: { agent: 'other' } })),
      'the entry is about another agent',
    ],
    [
      'with a denial',
      withProof(
        ask,
        entryOf(ask, { data: { decision: { action: 'deny', code: 'NO_GRANT', reason: '', obligations } } }),
      ),
      'the entry does not allow it',
    ],
    [
      'with other obligations',
      withProof(
        ask,
        entryOf(ask, { data: { decision: { action: 'allow', code: 'OK', reason: '', obligations: {} } } }),
      ),
      'the entry tells of another permit',
    ],
    [
      'with a later deadline, which would hide that no outcome came',
      withProof(ask, entryOf(ask, { data: { deadline: now + 1e9 } })),
      'the entry tells of another permit',
    ],
    [
      'with no policy',
      withProof(ask, entryOf(ask, { data: { policy: undefined } })),
      'the entry tells of another permit',
    ],
    [
      'with other arguments',
      withProof(ask, entryOf(ask, { data: { arguments: { text: 'harmless' } } })),
      'the entry shows other arguments',
    ],
    [
      'with the digest of other arguments',
      withProof(ask, entryOf(ask, { data: { arguments: undefined, arguments_digest: digestOf({ text: 'x' }) } })),
      'the entry shows other arguments',
    ],
    [
      'with no arguments',
      withProof(ask, entryOf(ask, { data: { arguments: undefined } })),
      'the entry shows other arguments',
    ],
    [
      'with one witness of two',
      withProof(ask, entry, proofOf(entry, { by: witnesses.slice(2) })),
      '1 witnesses cosigned, 2 must',
    ],
    [
      'with strangers as witnesses',
      withProof(ask, entry, proofOf(entry, { by: witnesses.map(({ name }) => ({ name, key: generateSigningKey() })) })),
      '0 witnesses cosigned, 2 must',
    ],
    [
      'with a log of its own',
      withProof(ask, entry, proofOf(entry, { key: generateSigningKey() })),
      'no trusted key signed the note',
    ],
    [
      'with a log of another origin',
      withProof(ask, entry, proofOf(entry, { name: 'log.example/other' })),
      'no trusted key signed the note',
    ],
    ['with what is no proof', withProof(ask, entry, 'x'), 'the proof is not one of c2sp.org/tlog-proof@v1'],
  ])('%s', (_, of, reason) => {
    expect(() => run(of)).toThrow(expect.objectContaining({ code: 'EVIDENCE_UNAVAILABLE', message: asks + reason }));
  });
});

test('runs nothing witnessed where no witness is configured', () => {
  const alone = createWitnessCheck({ keys: ring, witnesses: { origin, keys: logKeys, policy: undefined, each: [] } });
  const of = withProof(ask, entryOf(ask));
  expect(() => alone(of, of.permit.claims)).toThrow(
    expect.objectContaining({ code: 'EVIDENCE_UNAVAILABLE', message: `${asks}no witness is configured` }),
  );
});
