import { createCurveKey } from '@agentgate/bus';
import {
  AgentGateError,
  brokerLeaseListing,
  type LeaseAnswer,
  type LeaseAsk,
  type Permit,
  policyPermitListing,
} from '@agentgate/contracts';
import { generateSigningKey } from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { createBrokerLeases } from '../src/adapters/broker-leases.ts';

const start = 1_700_000_000_000;

const permitOf = (id: string, change: { session?: string; tool?: string } = {}): Permit =>
  ({
    claims: {
      id: `prm_${id.padStart(12, '0')}`,
      tenant: 'default',
      agent: 'demo',
      session: 'ses_000000000001',
      tool: 'crm/find',
      obligations: { credential: { name: 'db' } },
      ...change,
    },
  }) as Permit;

/** A broker that answers what a test says, and a runner's side of it. */
const createBench = (reused = true) => {
  const broker = createCurveKey();
  const clock = { at: start };
  const bench = {
    clock,
    asks: [] as LeaseAsk[],
    released: [] as string[],
    over: [] as string[],
    refuse: undefined as AgentGateError | undefined,
    /** Whether a held lease lives on, and with a new secret. */
    prolong: 'same' as 'same' | 'changed' | 'new',
    listed: [] as { subject: string; ask: unknown }[],
    /** What the broker seals to somebody else's key cannot be opened here. */
    sealTo: undefined as string | undefined,
    running: 0,
    most: 0,
  };
  let secrets = 0;
  const answer = async (ask: LeaseAsk): Promise<LeaseAnswer> => {
    bench.asks.push(ask);
    bench.most = Math.max(bench.most, ++bench.running);
    await new Promise((resolve) => setTimeout(resolve, 2));
    bench.running--;
    if (bench.refuse) throw bench.refuse;
    const lives = ask.held !== undefined && bench.prolong !== 'new';
    const permit = lives && ask.held ? ask.held.permit : ask.permit.claims.id;
    const text = JSON.stringify({ v: 1, parts: { secret: `secret-${++secrets}` }, hidden: ['secret'] });
    const sealed = Buffer.from(broker.seal(Buffer.from(text), bench.sealTo ?? ask.seal_to)).toString('base64');
    return {
      lease: `lease/${permit}`,
      permit,
      ...(lives && bench.prolong === 'same' ? {} : { sealed }),
      broker_key: broker.publicKey,
      expires_at: new Date(clock.at + 60_000).toISOString(),
      ...(reused && { reuse: true as const }),
    };
  };
  const batcher = ({ subject }: { subject: string }) =>
    subject.endsWith('.lease')
      ? answer
      : async ({ lease }: { lease: string }) => {
          bench.released.push(lease);
          return { state: 'revoked' };
        };
  const asked = async ({ subject }: { subject: string }, ask: object) => {
    bench.listed.push({ subject, ask });
    if (subject === policyPermitListing.subject)
      return { v: 1, permit: { claims: { id: 'prm_000000000099' }, seal: {} } };
    return {
      v: 1,
      lease: { ...(await answer(ask as LeaseAsk)), lease: 'agentgate/tool-runner/ses_1/call_1/static/prm_1' },
    };
  };
  const leases = createBrokerLeases({
    bus: { batcher: batcher as never, ask: asked as never, instance: 'runner-1' },
    key: generateSigningKey(),
    isReused: () => reused,
    onOver: (lease) => void bench.over.push(lease),
    epoch: () => 7,
    now: () => clock.at,
    log: { warn: () => {} },
  });
  return { ...leases, bench };
};

test('a lease for one call is asked for each time and released each time', async () => {
  const { lease, release, bench } = createBench(false);
  for (const id of ['1', '2']) release(await lease(permitOf(id), 0));
  expect(bench.asks.map(({ held }) => held)).toEqual([undefined, undefined]);
  expect(bench.released).toHaveLength(2);
});

test("a session's lease is kept: the next call names it, shows a permit of its own and gets the same secret", async () => {
  const { lease, release, bench } = createBench();
  const first = await lease(permitOf('1'), 0);
  release(first);
  const second = await lease(permitOf('2'), 0);
  expect(second).toEqual({ lease: first.lease, credential: first.credential, reuse: true });
  expect(bench.asks[1]).toMatchObject({
    permit: { claims: { id: 'prm_000000000002' } },
    held: { lease: first.lease, permit: 'prm_000000000001' },
  });
  expect([bench.released, bench.over]).toEqual([[], []]);
});

test('calls that come together ask one after the other, so that one lease serves them', async () => {
  const { lease, bench } = createBench();
  const got = await Promise.all(['1', '2', '3'].map((id) => lease(permitOf(id), 0)));
  expect(new Set(got.map(({ lease: id }) => id)).size).toBe(1);
  expect(bench.most).toBe(1);
});

test.each([
  ['session', { session: 'ses_000000000002' }],
  ['tool', { tool: 'crm/delete' }],
])('another %s never gets it', async (_, change) => {
  const { lease, bench } = createBench();
  const first = await lease(permitOf('1'), 0);
  const other = await lease(permitOf('2', change), 0);
  expect(other.lease).not.toBe(first.lease);
  expect(bench.asks[1]?.held).toBeUndefined();
});

test.each(['changed', 'new'] as const)(
  'what was opened with a secret that is no more is forgotten (%s)',
  async (how) => {
    const { lease, bench } = createBench();
    const first = await lease(permitOf('1'), 0);
    bench.prolong = how;
    const second = await lease(permitOf('2'), 0);
    expect(second.credential.parts.secret).not.toBe(first.credential.parts.secret);
    expect(bench.over).toEqual([first.lease]);
  },
);

test('a refusal ends what is held here: a killed session keeps no secret', async () => {
  const { lease, bench } = createBench();
  const first = await lease(permitOf('1'), 0);
  bench.refuse = new AgentGateError('KILLED_SESSION', 'killed');
  await expect(lease(permitOf('2'), 0)).rejects.toMatchObject({ code: 'KILLED_SESSION' });
  expect(bench.over).toEqual([first.lease]);
  bench.refuse = undefined;
  await lease(permitOf('3'), 0);
  expect(bench.asks[2]?.held).toBeUndefined();
});

test('a kill drops what is held in its scope at once, and nothing else', async () => {
  const { lease, forget, bench } = createBench();
  const mine = await lease(permitOf('1'), 0);
  const other = await lease(permitOf('2', { session: 'ses_000000000002' }), 0);
  forget({ kind: 'session', id: 'ses_000000000001' });
  expect(bench.over).toEqual([mine.lease]);
  expect((await lease(permitOf('3', { session: 'ses_000000000002' }), 0)).lease).toBe(other.lease);
});

test('one whose time is over is not asked for again', async () => {
  const { lease, bench } = createBench();
  await lease(permitOf('1'), 0);
  bench.clock.at += 59_800;
  await lease(permitOf('2'), 0);
  expect(bench.asks[1]?.held).toBeUndefined();
});

test('releases what it holds when it closes', async () => {
  const { lease, close, bench } = createBench();
  const { lease: id } = await lease(permitOf('1'), 0);
  await close();
  expect([bench.released, bench.over]).toEqual([[id], [id]]);
});

test('a list is read with a lease of its own: policy permits it, the broker gives it, and it is given back once', async () => {
  const { leaseListing, release, bench } = createBench(false);
  const leased = await leaseListing('crm');
  expect(bench.listed).toMatchObject([
    { subject: policyPermitListing.subject, ask: { v: 1, server: 'crm' } },
    { subject: brokerLeaseListing.subject, ask: { permit: { claims: { id: 'prm_000000000099' } }, epoch: 7 } },
  ]);
  expect(leased).toMatchObject({ reuse: false, credential: { parts: { secret: 'secret-1' } } });
  release(leased);
  release(leased);
  expect(bench.released).toEqual([leased.lease]);
});

test.each([
  ['of everything', { kind: 'global' as const }, 1],
  ['of the gate’s own', { kind: 'tenant' as const, id: 'agentgate' }, 1],
  ['of the list’s tool', { kind: 'tool' as const, id: 'crm/tools/list' }, 1],
  ['of a tenant', { kind: 'tenant' as const, id: 'default' }, 0],
])('a kill %s breaks off what is opened for a list, if it covers it', async (_, scope, times) => {
  const { leaseListing, release, forget, bench } = createBench(false);
  const leased = await leaseListing('crm');
  forget(scope);
  expect(bench.over).toEqual(Array(times).fill(leased.lease));
  release(leased);
  forget({ kind: 'global' });
  expect(bench.over).toHaveLength(times);
});

test.each(['a call', 'a list'])('a lease for %s that cannot be opened is given back at once', async (what) => {
  const { lease, leaseListing, bench } = createBench(false);
  bench.sealTo = createCurveKey().publicKey;
  await expect(what === 'a list' ? leaseListing('crm') : lease(permitOf('1'), 0)).rejects.toMatchObject({
    code: 'CREDENTIAL_UNAVAILABLE',
    message: 'the lease that the credential-broker gave cannot be opened',
  });
  expect(bench.released).toHaveLength(1);
});
