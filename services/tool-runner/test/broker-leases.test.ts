import { createCurveKey } from '@agentgate/bus';
import { AgentGateError, type LeaseAnswer, type LeaseAsk, type Permit } from '@agentgate/contracts';
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
    const sealed = Buffer.from(broker.seal(Buffer.from(text), ask.seal_to)).toString('base64');
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
  const leases = createBrokerLeases({
    bus: { batcher: batcher as never, ask: () => expect.fail('nothing is listed'), instance: 'runner-1' },
    key: generateSigningKey(),
    isReused: () => reused,
    onOver: (lease) => void bench.over.push(lease),
    epoch: () => 0,
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
