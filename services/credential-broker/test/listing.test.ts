import {
  type ListingClaims,
  type ListingLeaseAsk,
  listingDomain,
  type PermitClaims,
  permitDomain,
  permitLines,
  runnerKeyText,
} from '@agentgate/contracts';
import { canonical, generateSigningKey, type SigningKey, sealBatch, sha256Hex } from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { askOf, claimsOf, createBench, curveKey, policyKey, runnerKey, start } from './fixture.ts';

const listingOf = (change: Partial<ListingClaims> = {}): ListingClaims => ({
  v: 1,
  id: 'prm_00000000000000000099',
  server: 'crm',
  credential: { name: 'crm-key', ttl_s: 20 },
  policy: { revision: 'r1', digest: 'b'.repeat(64) },
  issued_at: start,
  expires_at: start + 5_000,
  deadline: start + 45_000,
  ...change,
});

const sealed = <C extends object>(claims: C, domain: string, key: SigningKey) => {
  const [seal] = sealBatch({ domain, lines: permitLines, leaves: [canonical(claims)], key });
  if (!seal) throw new Error('no seal');
  return { claims, seal };
};

const listAskOf = (
  { claims = listingOf(), domain = listingDomain, key = policyKey, signer = runnerKey } = {} as {
    claims?: ListingClaims;
    domain?: string;
    key?: SigningKey;
    signer?: SigningKey;
  },
): ListingLeaseAsk => {
  const unsigned = {
    v: 1 as const,
    permit: sealed(claims, domain, key),
    runner: 'runner-1',
    seal_to: curveKey,
    epoch: 0,
  };
  return { ...unsigned, sig: Buffer.from(signer.sign(Buffer.from(runnerKeyText(unsigned)))).toString('base64') };
};

test('a listing permit gives one lease under the gate’s own name, in the record and in evidence', async () => {
  const bench = createBench({ offer: { reuse: 'session' } });
  const ask = listAskOf();
  const answer = await bench.broker.leaseListing(ask);
  const id =
    'agentgate/tool-runner/ses_00000000000000000099/call_00000000000000000099/postgres/prm_00000000000000000099';
  expect(answer).toMatchObject({ lease: id, expires_at: new Date(start + 20_000).toISOString() });
  // Whatever the credential is for: a list is read once.
  expect(answer.reuse).toBeUndefined();
  const { record } = bench.records.stored.get(ask.permit.claims.id) ?? {};
  expect(record).toMatchObject({
    state: 'active',
    tool: 'crm/tools/list',
    reuse: 'call',
    permit_digest: sha256Hex(canonical(ask.permit.claims)),
  });
  expect(bench.events.map(({ name }) => name)).toEqual(['lease.issued']);
  await bench.broker.release({ lease: answer.lease, permit: answer.permit });
  expect(record && bench.records.stored.get(record.permit)?.record.state).toBe('revoked');
  await expect(bench.broker.leaseListing(ask)).rejects.toMatchObject({
    code: 'POLICY_DENIED',
    message: 'permit: was used for a lease already',
  });
});

test.each([
  ['that somebody else signed', { key: generateSigningKey() }, 'POLICY_DENIED', 'permit: policy did not sign it'],
  ['that is a call’s', { domain: permitDomain }, 'POLICY_DENIED', 'permit: policy did not sign it'],
  [
    'that expired',
    { claims: listingOf({ issued_at: start - 9_000, expires_at: start - 4_000 }) },
    'POLICY_DENIED',
    'permit: it has expired',
  ],
  ['whose time is over', { claims: listingOf({ deadline: start }) }, 'TIMEOUT', 'the deadline of the call has passed'],
  [
    'that lives too long',
    { claims: listingOf({ expires_at: start + 5_001 }) },
    'POLICY_DENIED',
    'permit: it lives longer than 5000 ms',
  ],
  [
    'for a runner that is none',
    { signer: policyKey },
    'RUNNER_UNAVAILABLE',
    'the key to seal to is not signed by a tool-runner',
  ],
])('none is given for one %s', async (_, options, code, message) => {
  const bench = createBench();
  await expect(bench.broker.leaseListing(listAskOf(options))).rejects.toMatchObject({ code, message });
  expect([bench.minted, bench.records.history]).toEqual([[], []]);
});

test('none is given for a call with it, nor with a call’s permit for a list', async () => {
  const bench = createBench();
  const call = claimsOf();
  const asCall = askOf({ claims: call });
  const listed = sealed(call as never as ListingClaims, permitDomain, policyKey);
  await expect(bench.broker.leaseListing({ ...listAskOf(), permit: listed })).rejects.toMatchObject({
    code: 'POLICY_DENIED',
    message: 'permit: policy did not sign it',
  });
  const listing = sealed(call, listingDomain, policyKey) as { claims: PermitClaims; seal: typeof asCall.permit.seal };
  await expect(bench.broker.lease({ ...asCall, permit: listing })).rejects.toMatchObject({
    code: 'POLICY_DENIED',
    message: 'permit: policy did not sign it',
  });
});

test.each([
  ['of everything', { kind: 'global' as const }],
  ['of the gate’s own', { kind: 'tenant' as const, id: 'agentgate' }],
])('a kill %s refuses it, and ends the one that is out', async (_, scope) => {
  const bench = createBench();
  const { permit } = await bench.broker.leaseListing(listAskOf());
  expect(await bench.broker.contain(1, scope)).toMatchObject({
    revoked: [expect.stringContaining(permit)],
    failed: [],
  });
  const next = listAskOf({ claims: listingOf({ id: 'prm_00000000000000000098' }) });
  await expect(bench.broker.leaseListing(next)).rejects.toMatchObject({ code: expect.stringMatching(/^KILLED_/) });
});
