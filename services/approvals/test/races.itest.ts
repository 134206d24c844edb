import type { Bus, Follower } from '@agentgate/bus';
import { approvalBinding } from '@agentgate/runtime';
import { type Ground, startGround } from '@agentgate/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApprovalsBucket } from '../src/adapters/approvals-bucket.ts';
import { createWorld, question } from './fixtures.ts';

// Two replicas on a real bucket: whatever happens at once, an approval has one end.

const rounds = 25;
let ground: Ground;
let replicas: ReturnType<typeof createWorld>[] = [];
const followers: Follower[] = [];

beforeAll(async () => {
  ground = await startGround();
  const buses: Bus[] = [await ground.connect('approvals'), await ground.connect('approvals')];
  replicas = await Promise.all(
    buses.map(async (bus) => {
      const records = createApprovalsBucket(bus);
      const world = createWorld({ records });
      followers.push(await records.feed(world.index, (error) => expect.fail(String(error))));
      return world;
    }),
  );
});
afterAll(async () => {
  await Promise.all(followers.map((follower) => follower.close()));
  await ground?.stop();
});

const [a, b] = [
  () => replicas[0] as ReturnType<typeof createWorld>,
  () => replicas[1] as ReturnType<typeof createWorld>,
];
let sessions = 0;
const asked = async () => {
  const about = question({ session: `ses_${String(++sessions).padStart(10, '0')}` });
  return { ...(await a().approvals.request(about)), about, binding: approvalBinding(about) };
};
const settled = async (...work: Promise<unknown>[]) =>
  (await Promise.allSettled(work)).map((one) =>
    one.status === 'fulfilled' ? one.value : { refused: (one.reason as Error).message },
  );

test('two approvers at once: one granted it', async () => {
  for (let i = 0; i < rounds; i++) {
    const { id } = await asked();
    const said = await settled(
      a().approvals.decide('olga', 'granted', { approval: id }),
      b().approvals.decide('oskar', 'granted', { approval: id }),
    );
    expect(said).toContainEqual({ v: 1, status: 'granted' });
    expect(said).toContainEqual({ v: 1, status: 'already_decided' });
  }
});

test('one approves while another rejects: one of both, and the end is what evidence says', async () => {
  for (let i = 0; i < rounds; i++) {
    const { id, binding } = await asked();
    const said = (await settled(
      a().approvals.decide('olga', 'granted', { approval: id }),
      b().approvals.decide('oskar', 'rejected', { approval: id }),
    )) as { status: string }[];
    expect(said.map(({ status }) => status).filter((status) => status === 'already_decided')).toHaveLength(1);
    const granted = said.some(({ status }) => status === 'granted');
    const events = [...a().events, ...b().events].filter(({ subject }) => subject === id).map(({ name }) => name);
    expect(events.includes('approval.granted')).toBe(granted);
    expect(events.includes('approval.rejected')).toBe(!granted);
    const [redeemed] = await settled(a().approvals.redeem({ approval: id, binding, call: 'call_0000000002' }));
    expect(redeemed).toMatchObject(granted ? { grant: {} } : { refused: 'approval: it was rejected' });
  }
});

test('many redemptions at once: one is given', async () => {
  for (let i = 0; i < rounds; i++) {
    const { id, binding } = await asked();
    await a().approvals.decide('olga', 'granted', { approval: id });
    const redeem = (world: ReturnType<typeof createWorld>, n: number) =>
      world.approvals.redeem({ approval: id, binding, call: `call_00000000${10 + n}` });
    const said = await settled(redeem(a(), 1), redeem(b(), 2), redeem(a(), 3), redeem(b(), 4));
    expect(said.filter((one) => 'grant' in (one as object))).toHaveLength(1);
    expect(
      said.filter((one) => (one as { refused?: string }).refused === 'approval: it was used already'),
    ).toHaveLength(3);
  }
});

test('an approval against its expiry: never both', async () => {
  for (let i = 0; i < rounds; i++) {
    const { id, binding } = await asked();
    // One replica's clock is past the end already.
    b().at = a().at + 900_000;
    const [said] = (await settled(
      a().approvals.decide('olga', 'granted', { approval: id }),
      b().approvals.sweep(),
    )) as [{ status: string }];
    const [redeemed] = await settled(b().approvals.redeem({ approval: id, binding, call: 'call_0000000002' }));
    expect(['granted', 'expired']).toContain(said.status);
    expect(redeemed).toEqual({ refused: 'approval: it has expired' });
    b().at = a().at;
  }
});

test('a kill against a redemption: given or voided, and never given afterwards', async () => {
  for (let i = 0; i < rounds; i++) {
    const { id, binding, about } = await asked();
    await a().approvals.decide('olga', 'granted', { approval: id });
    await expect.poll(() => b().index.coveredBy({ kind: 'session', id: about.session }).length).toBe(1);
    const [redeemed, voided] = await settled(
      a().approvals.redeem({ approval: id, binding, call: 'call_0000000002' }),
      b().approvals.voidScope({ epoch: 1_000 + i, scope: { kind: 'session', id: about.session }, why: 'killed' }),
    );
    const wasGiven = 'grant' in (redeemed as object);
    expect(voided).toBe(wasGiven ? 0 : 1);
    const [again] = await settled(a().approvals.redeem({ approval: id, binding, call: 'call_0000000003' }));
    expect(again).toEqual({ refused: `approval: it was ${wasGiven ? 'used already' : 'voided'}` });
  }
});

test('what was used before a crash is used after it', async () => {
  const { id, binding } = await asked();
  await a().approvals.decide('olga', 'granted', { approval: id });
  await a().approvals.redeem({ approval: id, binding, call: 'call_0000000002' });
  const reborn = createWorld({ records: createApprovalsBucket(await ground.connect('approvals')) });
  const [again] = await settled(reborn.approvals.redeem({ approval: id, binding, call: 'call_0000000003' }));
  expect(again).toEqual({ refused: 'approval: it was used already' });
});
