import { describe, expect, test, vi } from 'vitest';
import { createChain, createKeyRing, type EventDraft, type SigningKey, type VerifierOptions } from '../../src/index.ts';
import { keyOf } from '../sample.ts';
import { type MadeLog, makeLog, type Producer, publish, signersOf } from './log-maker.ts';
import { trustOf, verify } from './trust.ts';

vi.setConfig({ testTimeout: 60_000 });

/** A log in which every batch is whole, so that its producers can go on. Each test makes its own. */
const wholeLog = () => makeLog(5, 40, { isWhole: true });
const producerOf = ({ deployment: { producers } }: MadeLog, service = 'ingress') =>
  producers.find((each) => each.service === service) ?? expect.fail(`no ${service}`);
const draft = (log: MadeLog, change: Partial<EventDraft> = {}): EventDraft => ({
  id: 'evt_0000099999',
  type: 'agentgate.call.decided.v1',
  subject: 'call_0000099999',
  time: new Date(log.at).toISOString(),
  data: { call: 'call_0000099999' },
  ...change,
});
/** One batch of a producer, as the sequencer would take it. */
const sealed = (log: MadeLog, producer: Producer, drafts: EventDraft[], key?: SigningKey) =>
  log.deployment.sealed(
    producer,
    drafts.map((each) => producer.chain.next(each)),
    key,
  );
const deploymentOf = ({ deployment: { keys } }: MadeLog, epoch = 'd2'): Producer => ({
  service: 'deployment',
  chain: createChain({ source: 'agentgate/deployment/d2', epoch }),
  key: keys.deployment,
});
const keyDraft = (log: MadeLog, type: 'added' | 'revoked', { service = 'ingress', key = keyOf(7), data = {} } = {}) =>
  draft(log, { type: `agentgate.key.${type}.v1`, data: { service, keyid: key.keyid, key: key.publicKey, ...data } });
const withMore = async (log: MadeLog, more: readonly string[], options: Partial<VerifierOptions> = {}) => {
  const entries = [...log.entries, ...more];
  const verdict = await verify(log, { files: publish(entries, signersOf(log.deployment, log.at)), ...options });
  const found = verdict.findings.map(({ code, index, what, reason }) => ({
    code,
    at: (index ?? Number.NaN) - log.entries.length,
    what,
    reason,
  }));
  return { ok: verdict.ok, found, verdict };
};

describe('keys', () => {
  test('of another service do not speak for a producer', async () => {
    const log = wholeLog();
    const more = sealed(log, producerOf(log), [draft(log)], producerOf(log, 'policy').key);
    const { ok, found } = await withMore(log, more);
    expect(ok).toBe(false);
    expect(found).toMatchObject([{ code: 'UNKNOWN_KEY', at: 0 }]);
    expect(found[0]?.what).toBe(`entry ${log.entries.length} is sealed with a key that its producer does not have`);
  });

  test('speak from the entry that adds them to the one that revokes them', async () => {
    const log = wholeLog();
    const [deployment, producer, fresh] = [deploymentOf(log), producerOf(log), keyOf(7)];
    const adds = sealed(log, deployment, [keyDraft(log, 'added')]);
    const [first] = sealed(log, producer, [draft(log)], fresh) as [string];
    const revokes = sealed(log, deployment, [keyDraft(log, 'revoked')]);
    const [second] = sealed(log, producer, [draft(log)], fresh) as [string];
    expect(await withMore(log, [...adds, first, ...revokes])).toMatchObject({ ok: true });
    expect((await withMore(log, [first, ...adds])).found).toMatchObject([{ code: 'UNKNOWN_KEY', at: 0 }]);
    const { found } = await withMore(log, [...adds, first, ...revokes, second]);
    expect(found).toMatchObject([{ code: 'KEY_REVOKED', at: 3, reason: `entry ${log.entries.length + 2} revoked it` }]);
  });

  test.each<[string, (log: MadeLog) => string[], string]>([
    [
      'by a producer for itself',
      (log) => sealed(log, producerOf(log), [keyDraft(log, 'added')]),
      'is not the deployment, which alone says whose a key is',
    ],
    [
      'under a keyid that is not theirs',
      (log) => sealed(log, deploymentOf(log), [keyDraft(log, 'added', { data: { keyid: '0'.repeat(16) } })]),
      'its keyid is not the one of its key',
    ],
    [
      'that are no keys',
      (log) => sealed(log, deploymentOf(log), [keyDraft(log, 'added', { data: { key: 'x' } })]),
      'the public key is not 32 bytes in base64url',
    ],
    [
      'for no service',
      (log) => sealed(log, deploymentOf(log), [keyDraft(log, 'added', { service: '*' })]),
      'its service is no name',
    ],
    [
      'with something beside them',
      (log) => sealed(log, deploymentOf(log), [keyDraft(log, 'added', { data: { more: 1 } })]),
      'it holds something else than service, keyid and key',
    ],
  ])('are not taken when added %s', async (_, more, reason) => {
    const log = wholeLog();
    const { ok, found } = await withMore(log, more(log));
    expect(ok).toBe(false);
    expect(found).toMatchObject([{ code: 'BAD_KEY_EVENT', at: 0, reason: expect.stringContaining(reason) }]);
  });

  test('that somebody else than the deployment added speak for nobody', async () => {
    const log = wholeLog();
    const thief = { ...deploymentOf(log), key: keyOf(6) };
    const adds = sealed(log, thief, [keyDraft(log, 'added')]);
    const forged = sealed(log, producerOf(log), [draft(log)], keyOf(7));
    const { found } = await withMore(log, [...adds, ...forged]);
    expect(found).toMatchObject([
      { code: 'UNKNOWN_KEY', at: 0 },
      { code: 'UNKNOWN_KEY', at: 1 },
    ]);
  });

  test('are taken on the log’s word where no deployment key is given, and the verdict says so', async () => {
    const log = wholeLog();
    const trust = { ...trustOf(log), producers: undefined };
    const { ok, verdict } = await withMore(log, [], { trust });
    expect({ ok, authority: verdict.keyAuthority }).toEqual({ ok: true, authority: 'log' });
    // Only the first deployment vouches for itself.
    const thief = { ...deploymentOf(log), key: keyOf(6) };
    const own = keyDraft(log, 'added', { service: 'deployment', key: keyOf(6) });
    expect((await withMore(log, sealed(log, thief, [own]), { trust })).found).toMatchObject([
      { code: 'UNKNOWN_KEY', at: 0 },
    ]);
  });

  test('of another deployment make the whole log a forgery', async () => {
    const log = wholeLog();
    const trust = { ...trustOf(log), producers: { deploymentKey: keyOf(6).publicKey } };
    const { ok, verdict } = await withMore(log, [], { trust });
    expect(ok).toBe(false);
    expect(verdict.findings[0]).toMatchObject({ code: 'UNKNOWN_KEY', index: 0 });
  });

  test('that are given are the only ones, whatever the log records', async () => {
    const log = wholeLog();
    const given = log.deployment.producers.map(({ service, key }) => ({
      signer: `agentgate/${service}/`,
      publicKey: key.publicKey,
    }));
    const trust = (keys: typeof given) => ({ ...trustOf(log), producers: { keys: createKeyRing(keys) } });
    const all = await withMore(log, [], { trust: trust(given) });
    expect({ ok: all.ok, authority: all.verdict.keyAuthority }).toEqual({ ok: true, authority: 'given' });
    const adds = sealed(log, deploymentOf(log), [keyDraft(log, 'added')]);
    const added = sealed(log, producerOf(log), [draft(log)], keyOf(7));
    const { found } = await withMore(log, [...adds, ...added], { trust: trust(given) });
    expect(found).toMatchObject([{ code: 'UNKNOWN_KEY', at: 1 }]);
  });
});

describe('chains', () => {
  const hole = (log: MadeLog) => {
    const producer = producerOf(log);
    const [, after] = [sealed(log, producer, [draft(log)]), sealed(log, producer, [draft(log)])];
    return { producer, after };
  };

  test('show a hole, once', async () => {
    const log = wholeLog();
    const { producer, after } = hole(log);
    const seq = (JSON.parse(after[0] as string) as { event: { producerseq: number } }).event.producerseq;
    const { ok, found } = await withMore(log, [...after, ...sealed(log, producer, [draft(log)])]);
    expect(ok).toBe(false);
    expect(found).toMatchObject([
      {
        code: 'HOLE',
        at: 0,
        what: expect.stringContaining(`event ${seq - 1} to ${seq - 1} of its producer is missing`),
      },
    ]);
  });

  test('show a hole that the log reports as such, and let it pass only where that was asked for', async () => {
    const log = wholeLog();
    const { producer, after } = hole(log);
    const { chain } = producer;
    const seq = (JSON.parse(after[0] as string) as { event: { producerseq: number } }).event.producerseq;
    const data = { kind: 'hole', about: `${chain.source} ${chain.epoch} ${seq}`, detail: 'x' };
    const type = 'agentgate.evidence.anomaly.v1';
    const told = sealed(log, producerOf(log, 'audit'), [draft(log, { type, data })]);
    const more = [...after, ...told];
    const plain = await withMore(log, more);
    expect(plain.ok).toBe(false);
    expect(plain.verdict.findings[0]).toMatchObject({ code: 'HOLE', disclosedAt: log.entries.length + 1 });
    expect(await withMore(log, more, { acceptDisclosed: true })).toMatchObject({ ok: true });
    expect(await withMore(log, after, { acceptDisclosed: true })).toMatchObject({ ok: false });
    // Only audit may say so, and only of what it is.
    const again = { ...producerOf(log, 'audit'), chain: createChain({ source: 'agentgate/audit/new', epoch: 'n1' }) };
    const other = sealed(log, again, [draft(log, { type, data: { ...data, kind: 'late' } })]);
    expect(await withMore(log, [...after, ...told, ...other], { acceptDisclosed: true })).toMatchObject({ ok: true });
    expect(await withMore(log, [...after, ...other], { acceptDisclosed: true })).toMatchObject({ ok: false });
    const byAnother = sealed(log, producerOf(log, 'policy'), [draft(log, { type, data })]);
    expect(await withMore(log, [...after, ...byAnother], { acceptDisclosed: true })).toMatchObject({ ok: false });
  });

  test('show an entry that is played again', async () => {
    const log = wholeLog();
    const { ok, found } = await withMore(log, [log.entries[9] as string]);
    expect(ok).toBe(false);
    expect(found).toMatchObject([{ code: 'REPLAYED', at: 0 }]);
  });

  test('show a start that does not begin at its beginning', async () => {
    const log = wholeLog();
    const producer = { ...producerOf(log), chain: createChain({ source: 'agentgate/ingress/new', epoch: 'n1' }) };
    sealed(log, producer, [draft(log)]);
    const { found } = await withMore(log, sealed(log, producer, [draft(log)]));
    expect(found).toMatchObject([{ code: 'HOLE', at: 0, what: expect.stringContaining('event 1 to 1') }]);
  });

  test('show an event that follows from another one', async () => {
    const log = wholeLog();
    const start = () => ({ ...producerOf(log), chain: createChain({ source: 'agentgate/ingress/new', epoch: 'n1' }) });
    const [one, other] = [start(), start()];
    const first = sealed(log, one, [draft(log)]);
    sealed(log, other, [draft(log, { id: 'evt_other' })]);
    const { ok, found } = await withMore(log, [...first, ...sealed(log, other, [draft(log)])]);
    expect(ok).toBe(false);
    expect(found).toMatchObject([{ code: 'WRONG_PREV', at: 0 + 1 }]);
  });
});

test('producers that fell silent are told, unless they said that they stop', async () => {
  const log = wholeLog();
  log.at += 600_000;
  const start = (instance: string) => ({
    ...producerOf(log),
    chain: createChain({ source: `agentgate/ingress/${instance}`, epoch: 'n1' }),
  });
  const at = (ms: number, type = 'agentgate.producer.heartbeat.v1') =>
    draft(log, { type, time: new Date(log.at + ms).toISOString() });
  const more = [
    ...sealed(log, start('silent'), [at(-100_000)]),
    ...sealed(log, start('stopped'), [at(-100_000, 'agentgate.producer.stopped.v1')]),
    ...sealed(log, start('alive'), [at(-30_000)]),
  ];
  const { ok, verdict } = await withMore(log, [...more, ...sealed(log, start('last'), [at(0)])]);
  const silent = verdict.entries.silent.filter(({ since }) => since > log.at - 200_000);
  expect({ ok, silent }).toEqual({
    ok: true,
    silent: [{ source: 'agentgate/ingress/silent', since: log.at - 100_000 }],
  });
});

describe('times', () => {
  const at = (log: MadeLog, ms: number) => draft(log, { time: new Date(log.at + ms).toISOString() });
  const fresh = (log: MadeLog) => ({
    ...producerOf(log),
    chain: createChain({ source: 'agentgate/ingress/new', epoch: 'n1' }),
  });

  test('may run back by what a clock is set back, and no further', async () => {
    const log = wholeLog();
    const steps = (ms: number) => sealed(log, fresh(log), [at(log, -20_000), at(log, -20_000 - ms)]);
    expect((await withMore(log, steps(9_000))).found).toEqual([]);
    expect((await withMore(log, steps(11_000))).found).toMatchObject([{ code: 'BACKDATED', at: 1 }]);
  });

  test('of a new producer may lie as far behind its neighbours as the tolerance, and no further', async () => {
    const log = makeLog(5, 400, { isWhole: true });
    const last = JSON.parse(log.entries.at(-1) as string) as { event: { time: string } };
    const behind = Date.parse(last.event.time) - log.at;
    const one = (ms: number) => sealed(log, fresh(log), [at(log, behind - ms)]);
    expect((await withMore(log, one(290_000))).found).toEqual([]);
    const { ok, found } = await withMore(log, one(30 * 86_400_000));
    expect(ok).toBe(false);
    expect(found).toMatchObject([{ code: 'BACKDATED', at: 0 }]);
    expect(found[0]?.what).toContain('is older by its own word than the entries before it');
  });

  test('ahead of the witness are post-dated', async () => {
    const log = wholeLog();
    const { ok, found } = await withMore(log, sealed(log, fresh(log), [at(log, 3_600_000)]));
    expect(ok).toBe(false);
    expect(found).toMatchObject([
      { code: 'POSTDATED', at: 0, reason: expect.stringContaining('when the log was seen') },
    ]);
  });

  test('ahead of the entries that follow are post-dated, and spoil none of them', async () => {
    const log = wholeLog();
    log.at += 7_200_000;
    const ahead = sealed(log, fresh(log), [at(log, -60_000)]);
    const then = { ...producerOf(log), chain: createChain({ source: 'agentgate/ingress/then', epoch: 'n1' }) };
    const follow = sealed(
      log,
      then,
      Array.from({ length: 10 }, (_, i) => at(log, -7_190_000 + i)),
    );
    const { found } = await withMore(log, [...ahead, ...follow]);
    expect(found).toMatchObject([
      { code: 'POSTDATED', at: 0, reason: expect.stringContaining('what most entries after it say') },
    ]);
  });

  test('after a pause of a year raise no alarm', async () => {
    const log = wholeLog();
    log.at += 365 * 86_400_000;
    expect((await withMore(log, sealed(log, fresh(log), [at(log, -2_000), at(log, -1_000)]))).found).toEqual([]);
  });
});

test.each<[string, object, string | undefined]>([
  [
    'a digest with its salt',
    { arguments_digest: { sha256: 'a'.repeat(64), salt: 'A'.repeat(43), bytes: 3 } },
    undefined,
  ],
  ['a digest whose salt is erased', { arguments_digest: { sha256: 'a'.repeat(64), bytes: 3 } }, undefined],
  ['a plain digest', { result_digest: 'a'.repeat(64) }, undefined],
  ['a digest that is none', { result_digest: 'A'.repeat(64) }, 'result_digest: it is not 64 hex digits'],
  [
    'a salt that is none',
    { arguments_digest: { sha256: 'a'.repeat(64), salt: 'x', bytes: 3 } },
    'arguments_digest: its salt is not 32 bytes in base64url',
  ],
  [
    'a digest beside what it stands for',
    { arguments: {}, arguments_digest: { sha256: 'a'.repeat(64) } },
    'it has both arguments and their digest',
  ],
])('an event with %s is judged by its form', async (_, data, reason) => {
  const log = wholeLog();
  const { found } = await withMore(log, sealed(log, producerOf(log), [draft(log, { data: { ...data } })]));
  expect(found.map((each) => [each.code, each.reason])).toEqual(reason === undefined ? [] : [['BAD_DIGEST', reason]]);
});

test.each<[string, string]>([
  ['nothing', ''],
  ['no JSON', 'hello'],
  ['JSON that is not canonical', '{ "event":{},"seal":{} }'],
  ['an event of another form', '{"event":{"id":1},"seal":{}}'],
])('an entry of %s is not of the form, and does not stop the search', async (_, text) => {
  const log = wholeLog();
  const { ok, found } = await withMore(log, [text, ...sealed(log, producerOf(log), [draft(log)])]);
  expect(ok).toBe(false);
  expect(found).toMatchObject([{ code: 'MALFORMED', at: 0 }]);
});
