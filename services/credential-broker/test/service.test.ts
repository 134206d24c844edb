import { AgentGateError } from '@agentgate/contracts';
import { generateSigningKey } from '@agentgate/evidence';
import { describe, expect, test, vi } from 'vitest';
import { askOf, claimsOf, createBench, curveKey, policyKey, secretText, start } from './fixture.ts';

const secretOf = (parts: Record<string, string>) => JSON.stringify({ v: 1, parts, hidden: ['secret'] });

const refusal = (code: string, message: string | RegExp) =>
  expect.objectContaining({ name: 'AgentGateError', code, message: expect.stringMatching(message) });

describe('lease', () => {
  test('gives the sealed secret, recorded as intended before minting and active after, with evidence', async () => {
    const bench = createBench();
    const ask = askOf();
    const { claims } = ask.permit;
    const answer = await bench.broker.lease(ask);
    expect(answer).toEqual({
      lease: `default/demo/${claims.session}/${claims.call}/postgres/${claims.id}`,
      permit: claims.id,
      sealed: Buffer.from(`${curveKey}:${secretOf({ secret: secretText })}`).toString('base64'),
      broker_key: 'XBROKER',
      expires_at: new Date(start + 30_000).toISOString(),
    });
    expect(bench.records.history.map((r) => r.state)).toEqual(['intended', 'active']);
    expect(bench.events).toEqual([
      {
        name: 'lease.issued',
        subject: answer.lease,
        tenant: 'default',
        agent: 'demo',
        session: claims.session,
        data: {
          lease: answer.lease,
          credential: 'crm-key',
          provider: 'postgres',
          call: claims.call,
          expires_at: answer.expires_at,
        },
      },
    ]);
  });

  test('mints only once the intention is written', async () => {
    const bench = createBench({ provider: { mint: async () => expect.fail('minted without a record') } });
    bench.records.fail = 'before';
    await expect(bench.broker.lease(askOf())).rejects.toThrow('not persisted');
    expect(bench.index.all()).toEqual([]);
  });

  test('mints nothing and leaves an intention to sweep when the record was persisted but errored', async () => {
    const bench = createBench({ provider: { mint: async () => expect.fail('minted without an acknowledged record') } });
    const ask = askOf();
    bench.records.fail = 'after';
    await expect(bench.broker.lease(ask)).rejects.toThrow('persisted but errored');
    expect(bench.stateOf(ask)).toBe('intended');
  });

  test('overwrites what it sealed', async () => {
    const bench = createBench();
    await bench.broker.lease(askOf());
    expect(bench.sealed[0]?.every((byte) => byte === 0)).toBe(true);
  });

  test('overwrites it and ends the lease when it cannot be sealed', async () => {
    const seen: Uint8Array[] = [];
    const bench = createBench({
      ports: {
        sealing: {
          publicKey: 'X',
          seal: (secret) => {
            seen.push(secret);
            throw new AgentGateError('FIELD_INVALID', '/seal_to: not a curve key');
          },
        },
      },
    });
    const ask = askOf();
    await expect(bench.broker.lease(ask)).rejects.toEqual(refusal('FIELD_INVALID', '/seal_to'));
    await bench.broker.settled();
    expect(seen[0]?.every((byte) => byte === 0)).toBe(true);
    expect(bench.stateOf(ask)).toBe('revoked');
  });

  test("ends when the provider's own end comes first", async () => {
    const bench = createBench({
      provider: { mint: async () => ({ parts: { secret: 'x' }, hidden: [], expiresAt: start + 1_000 }) },
    });
    expect((await bench.broker.lease(askOf())).expires_at).toBe(new Date(start + 1_000).toISOString());
  });

  test('keeps what the provider needs to end it encrypted for this lease alone', async () => {
    const handles: (string | undefined)[] = [];
    const bench = createBench({
      provider: {
        mint: async () => ({ parts: { secret: 'x' }, hidden: [], handle: 'the-token-itself' }),
        revoke: async ({ handle }) => void handles.push(handle),
      },
    });
    const [ask, other] = [askOf(), askOf()];
    const { lease } = await bench.broker.lease(ask);
    await bench.broker.lease(other);
    expect(JSON.stringify(bench.records.history)).not.toContain('the-token-itself');
    const held = bench.records.stored.get(other.permit.claims.id);
    const mine = bench.records.stored.get(ask.permit.claims.id);
    if (!held || !mine) throw new Error('not stored');
    // Somebody who may write the bucket swaps two handles: neither opens.
    await bench.records.update({ ...held.record, handle: mine.record.handle ?? '' }, held.revision);
    await bench.broker.release({ lease: other.permit.claims.id, permit: other.permit.claims.id });
    bench.clock.at += 30_000;
    for (const one of bench.records.stored.values()) bench.index.put(one);
    await bench.broker.sweep();
    expect(handles).toEqual(['the-token-itself']);
    expect(bench.stateOf(other)).toBe('revoking');
    expect(lease).toContain('postgres');
  });

  test('ends at the earliest of policy, provider and deadline', async () => {
    const lives = async (ttl_s: number | undefined, maxTtlMs: number) => {
      const { broker } = createBench({ offer: { maxTtlMs } });
      const credential = ttl_s === undefined ? { name: 'crm-key' } : { name: 'crm-key', ttl_s };
      const { expires_at } = await broker.lease(askOf({ claims: claimsOf({ obligations: { credential } }) }));
      return Date.parse(expires_at) - start;
    };
    expect(await lives(10, 20_000)).toBe(10_000);
    expect(await lives(20, 7_000)).toBe(7_000);
    expect(await lives(undefined, Number.POSITIVE_INFINITY)).toBe(30_000);
    expect(await lives(3600, 3_600_000)).toBe(30_000);
  });
});

describe('lease, with a permit that is none', () => {
  const cases: [string, () => Parameters<typeof askOf>[0], string, RegExp][] = [
    [
      'signed by another key than policy',
      () => ({ permitKey: generateSigningKey() }),
      'POLICY_DENIED',
      /policy did not sign it/,
    ],
    [
      'expired',
      () => ({ claims: claimsOf({ issued_at: start - 5_000, expires_at: start }) }),
      'POLICY_DENIED',
      /expired/,
    ],
    [
      'not valid yet',
      () => ({ claims: claimsOf({ issued_at: start + 1_001, expires_at: start + 2_000 }) }),
      'POLICY_DENIED',
      /not valid yet/,
    ],
    [
      'living longer than a permit may',
      () => ({ claims: claimsOf({ expires_at: start + 5_001 }) }),
      'POLICY_DENIED',
      /lives longer than 5000 ms/,
    ],
    ['of a call whose deadline passed', () => ({ claims: claimsOf({ deadline: start }) }), 'TIMEOUT', /deadline/],
    ['naming no credential', () => ({ claims: claimsOf({ obligations: {} }) }), 'POLICY_DENIED', /names no credential/],
    [
      'naming an unknown credential',
      () => ({ claims: claimsOf({ obligations: { credential: { name: 'other' } } }) }),
      'CREDENTIAL_UNAVAILABLE',
      /no credential is named other/,
    ],
  ];
  test.each(cases)('refuses one %s', async (_, options, code, message) => {
    const bench = createBench({ provider: { mint: async () => expect.fail('minted') } });
    await expect(bench.broker.lease(askOf(options()))).rejects.toEqual(refusal(code, message));
    expect(bench.records.history).toEqual([]);
  });

  test('refuses claims that differ from the signed ones in any field', async () => {
    const bench = createBench({ provider: { mint: async () => expect.fail('minted') } });
    for (const change of [
      { agent: 'other' },
      { tenant: 'other' },
      { id: 'prm_99999999999999999999' },
      { deadline: start + 31_000 },
      { obligations: { credential: { name: 'crm-key', ttl_s: 3600 } } },
    ]) {
      const honest = askOf();
      const claims = { ...honest.permit.claims, ...change };
      const seal = honest.permit.seal;
      const forged = { ...askOf({ claims }), permit: { claims, seal } };
      await expect(bench.broker.lease(forged), JSON.stringify(change)).rejects.toEqual(
        refusal('POLICY_DENIED', /did not sign/),
      );
    }
  });

  test('refuses the second lease of one permit, also from another broker on the same records', async () => {
    const bench = createBench();
    const ask = askOf();
    await bench.broker.lease(ask);
    const restarted = createBench({
      ports: { records: bench.records },
      provider: { mint: async () => expect.fail('minted') },
    });
    for (const { broker } of [bench, restarted])
      await expect(broker.lease(ask)).rejects.toEqual(refusal('POLICY_DENIED', /was used for a lease already/));
    expect(bench.minted).toHaveLength(1);
  });

  test('refuses a permit again after its lease was released', async () => {
    const bench = createBench();
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    await bench.broker.release({ lease, permit: ask.permit.claims.id });
    await expect(bench.broker.lease(ask)).rejects.toEqual(refusal('POLICY_DENIED', /was used/));
  });

  test('gives one lease when a permit comes twice at once', async () => {
    const bench = createBench();
    const ask = askOf();
    const results = await Promise.allSettled([bench.broker.lease(ask), bench.broker.lease(ask)]);
    expect(results.map((r) => r.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(bench.minted).toHaveLength(1);
  });
});

describe('lease, for a runner that is none', () => {
  test('refuses a key that no tool-runner signed', async () => {
    const { broker } = createBench({ provider: { mint: async () => expect.fail('minted') } });
    for (const signer of [generateSigningKey(), policyKey])
      await expect(broker.lease(askOf({ signer }))).rejects.toEqual(
        refusal('RUNNER_UNAVAILABLE', /not signed by a tool-runner/),
      );
  });

  test('refuses another key, runner or permit than the runner signed for', async () => {
    const { broker } = createBench({ provider: { mint: async () => expect.fail('minted') } });
    const honest = askOf();
    const other = `X${'B'.repeat(55)}`;
    for (const forged of [
      { ...honest, seal_to: other },
      { ...honest, runner: 'runner-2' },
      { ...askOf(), sig: honest.sig },
    ]) {
      await expect(broker.lease(forged)).rejects.toEqual(refusal('RUNNER_UNAVAILABLE', /not signed/));
    }
  });

  test('refuses something that is not a curve key', async () => {
    const { broker } = createBench();
    await expect(broker.lease(askOf({ sealTo: 'UAAAA' }))).rejects.toEqual(refusal('FIELD_INVALID', /\/seal_to/));
  });
});

describe('lease, under kill orders', () => {
  test.each([
    [{ kind: 'global' }, 'KILLED_GLOBAL'],
    [{ kind: 'tenant', id: 'default' }, 'KILLED_TENANT'],
    [{ kind: 'tool', id: 'crm/find' }, 'KILLED_TOOL'],
    [{ kind: 'agent', id: 'demo' }, 'KILLED_AGENT'],
    [{ kind: 'session', id: 'ses_00000000000000000001' }, 'KILLED_SESSION'],
  ] as const)('refuses what %j covers', async (scope, code) => {
    const bench = createBench();
    bench.kills.orders.push(scope);
    await expect(bench.broker.lease(askOf())).rejects.toEqual(refusal(code, /is killed: by a test/));
    expect(bench.records.history).toEqual([]);
  });

  test('refuses when its view does not reach the epoch of the decision', async () => {
    const bench = createBench();
    await expect(bench.broker.lease(askOf({ epoch: 7 }))).rejects.toEqual(
      refusal('KILL_SWITCH_UNAVAILABLE', /has not reached epoch 7/),
    );
    expect(bench.records.history).toEqual([]);
  });

  test('refuses while its view is stale', async () => {
    const bench = createBench();
    bench.kills.stale = true;
    await expect(bench.broker.lease(askOf())).rejects.toThrow('stale');
    expect(bench.minted).toEqual([]);
  });

  test('does not give out a lease that was killed while it was minted, and ends it', async () => {
    const bench = createBench({
      provider: {
        mint: async () => {
          bench.kills.orders.push({ kind: 'agent', id: 'demo' });
          return { parts: { secret: 'x' }, hidden: [] };
        },
      },
    });
    const ask = askOf();
    await expect(bench.broker.lease(ask)).rejects.toEqual(refusal('KILLED_AGENT', /agent demo is killed/));
    await bench.broker.settled();
    expect(bench.stateOf(ask)).toBe('revoked');
    expect(bench.events.at(-1)).toMatchObject({ name: 'lease.revoked', data: { why: 'killed' } });
  });

  test.each([
    ['made', async () => undefined],
    [
      'perhaps made',
      async () => {
        throw new Error('the connection broke');
      },
    ],
  ])('ends again what a kill ended before it was %s', async (_, after) => {
    const gate = Promise.withResolvers<void>();
    const there = new Set<string>();
    const bench = createBench({
      provider: {
        mint: async ({ permit }) => {
          await gate.promise;
          there.add(permit);
          await after();
          return { parts: { secret: 'x' }, hidden: [], handle: 'its-name' };
        },
        revoke: async ({ permit }) => void there.delete(permit),
        probe: async ({ permit }) => ({ state: there.has(permit) ? 'alive' : 'refused', detail: 'tried' }),
      },
    });
    const ask = askOf();
    const leasing = bench.broker.lease(ask);
    await vi.waitFor(() => expect(bench.stateOf(ask)).toBe('intended'));
    expect(await bench.broker.contain(1, { kind: 'agent', id: 'demo' })).toMatchObject({ failed: [] });
    expect(bench.stateOf(ask)).toBe('revoked');
    gate.resolve();
    await expect(leasing).rejects.toThrow();
    await bench.broker.settled();
    expect([[...there], bench.stateOf(ask)]).toEqual([[], 'revoked']);
    await expect(bench.broker.lease(ask)).rejects.toMatchObject({ code: expect.stringMatching(/KILLED_AGENT/) });
  });

  test('goes on trying to end what was made after its end, with the alarm that every lease has', async () => {
    const gate = Promise.withResolvers<void>();
    let isMade = false;
    const bench = createBench({
      provider: {
        mint: async () => {
          await gate.promise;
          isMade = true;
          return { parts: { secret: 'x' }, hidden: [] };
        },
        revoke: async () => {
          if (isMade) throw new AgentGateError('CREDENTIAL_UNAVAILABLE', 'the provider is down');
        },
      },
    });
    const ask = askOf();
    const leasing = bench.broker.lease(ask);
    await vi.waitFor(() => expect(bench.stateOf(ask)).toBe('intended'));
    await bench.broker.contain(1, { kind: 'agent', id: 'demo' });
    gate.resolve();
    await expect(leasing).rejects.toThrow();
    await bench.broker.settled();
    expect(bench.stateOf(ask)).toBe('revoking');
    for (let i = 0; i < 6; i++) {
      bench.clock.at += 20_000;
      await bench.broker.sweep();
    }
    expect(bench.stateOf(ask)).toBe('irrevocable');
  });

  test('ends the leases that a kill order covers and no others', async () => {
    const bench = createBench();
    const [mine, other] = [askOf(), askOf({ claims: claimsOf({ agent: 'other' }) })];
    await bench.broker.lease(mine);
    await bench.broker.lease(other);
    bench.kills.orders.push({ kind: 'agent', id: 'demo' });
    await bench.broker.revokeKilled();
    expect([bench.stateOf(mine), bench.stateOf(other)]).toEqual(['revoked', 'active']);
    expect(bench.events.at(-1)).toMatchObject({ name: 'lease.revoked', agent: 'demo', data: { why: 'killed' } });
  });
});

describe('lease, when something fails', () => {
  test('refuses with EVIDENCE_UNAVAILABLE and ends the lease when the issue is not in evidence', async () => {
    const failed = new AgentGateError('EVIDENCE_UNAVAILABLE', 'evidence was not acknowledged');
    let calls = 0;
    const bench = createBench({
      ports: {
        evidence: {
          record: async () => {
            if (++calls === 1) throw failed;
            return 'evt_00000000000000000001';
          },
        },
      },
    });
    const ask = askOf();
    await expect(bench.broker.lease(ask)).rejects.toBe(failed);
    await bench.broker.settled();
    expect(bench.stateOf(ask)).toBe('revoked');
  });

  test.each(['before', 'after'] as const)(
    'refuses and ends the lease when activating it errs %s it was persisted',
    async (fail) => {
      const bench = createBench({
        provider: {
          mint: async () => {
            bench.records.fail = fail;
            return { parts: { secret: 'x' }, hidden: [] };
          },
        },
      });
      const ask = askOf();
      await expect(bench.broker.lease(ask)).rejects.toThrow(/persisted/);
      await bench.broker.settled();
      expect(bench.stateOf(ask)).toBe('revoked');
      expect(bench.events.at(-1)).toMatchObject({ name: 'lease.revoked', data: { why: 'swept' } });
    },
  );

  test('refuses when somebody ended the lease meanwhile', async () => {
    const bench = createBench({
      provider: {
        mint: async () => {
          const [held] = [...bench.records.stored.values()];
          if (held) await bench.records.update({ ...held.record, state: 'revoked' }, held.revision);
          return { parts: { secret: 'x' }, hidden: [] };
        },
      },
    });
    await expect(bench.broker.lease(askOf())).rejects.toEqual(
      refusal('BROKER_UNAVAILABLE', /ended while it was being issued/),
    );
  });

  test('refuses with CREDENTIAL_UNAVAILABLE when the provider does not answer in time, and ends what comes late', async () => {
    const late = Promise.withResolvers<void>();
    const steps: string[] = [];
    const bench = createBench({
      provider: {
        mint: async () => {
          await late.promise;
          steps.push('made');
          return { parts: { secret: 'x' }, hidden: [], handle: 'its-name' };
        },
        revoke: async ({ handle }) => void steps.push(`ended ${handle}`),
      },
      ports: { limits: { mintMs: 10 } },
    });
    const ask = askOf();
    await expect(bench.broker.lease(ask)).rejects.toEqual(
      refusal('CREDENTIAL_UNAVAILABLE', /crm-key was not made within 10 ms/),
    );
    late.resolve();
    await bench.broker.settled();
    expect(bench.stateOf(ask)).toBe('revoked');
    // The other way round it would live on.
    expect(steps).toEqual(['made', 'ended its-name']);
  });

  test('leaves a lease that could not be ended to the sweep', async () => {
    const bench = createBench({
      provider: {
        mint: async () => {
          throw new AgentGateError('CREDENTIAL_UNAVAILABLE', 'credential crm-key is empty');
        },
      },
    });
    const ask = askOf();
    const leasing = bench.broker.lease(ask);
    bench.records.update = async () => {
      throw new Error('bucket gone');
    };
    await expect(leasing).rejects.toEqual(refusal('CREDENTIAL_UNAVAILABLE', /is empty/));
    await bench.broker.settled();
    expect(bench.stateOf(ask)).toBe('intended');
    expect(bench.logged).toContainEqual(
      expect.objectContaining({ message: expect.stringContaining('the sweep tries again') }),
    );
  });
});

describe('the cap', () => {
  test('refuses with RATE_LIMITED beyond so many leases of one agent, also when they come at once', async () => {
    const bench = createBench({ ports: { limits: { openPerAgent: 3 } } });
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => bench.broker.lease(askOf())));
    expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(3);
    expect(results.filter((r) => r.status === 'rejected').map((r) => r.reason)).toEqual(
      [1, 2].map(() => refusal('RATE_LIMITED', /holds 3 leases already/)),
    );
    await expect(bench.broker.lease(askOf({ claims: claimsOf({ agent: 'other' }) }))).resolves.toBeDefined();
  });

  test('counts neither released nor expired leases', async () => {
    const bench = createBench({ ports: { limits: { openPerAgent: 1 } } });
    const first = askOf();
    const { lease } = await bench.broker.lease(first);
    await bench.broker.release({ lease, permit: first.permit.claims.id });
    await bench.broker.lease(askOf());
    bench.clock.at += 30_000;
    await expect(bench.broker.lease(askOf({ claims: claimsOf({}, bench.clock.at) }))).resolves.toBeDefined();
  });
});

describe('release', () => {
  test('revokes at the provider, then in evidence, then in the record', async () => {
    const bench = createBench();
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    expect(await bench.broker.release({ lease, permit: ask.permit.claims.id })).toEqual({ state: 'revoked' });
    expect(bench.revoked).toEqual([lease]);
    expect(bench.records.history.map((r) => r.state)).toEqual(['intended', 'active', 'revoking', 'revoked']);
    expect(bench.events.at(-1)).toMatchObject({
      name: 'lease.revoked',
      subject: lease,
      data: { lease, credential: 'crm-key', why: 'released' },
    });
  });

  test('says the same again without doing it again', async () => {
    const bench = createBench();
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    const release = { lease, permit: ask.permit.claims.id };
    await bench.broker.release(release);
    expect(await bench.broker.release(release)).toEqual({ state: 'revoked' });
    expect(bench.revoked).toHaveLength(1);
  });

  test('says expired when the lease had run out', async () => {
    const bench = createBench();
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    bench.clock.at += 30_000;
    expect(await bench.broker.release({ lease, permit: ask.permit.claims.id })).toEqual({ state: 'expired' });
    expect(bench.events.at(-1)).toMatchObject({ data: { why: 'expired' } });
  });

  test('says unknown of a lease that does not exist, or that another permit has', async () => {
    const bench = createBench();
    const [mine, other] = [askOf(), askOf()];
    const { lease } = await bench.broker.lease(mine);
    await bench.broker.lease(other);
    expect(await bench.broker.release({ lease, permit: 'prm_00000000000000009999' })).toEqual({ state: 'unknown' });
    expect(await bench.broker.release({ lease, permit: other.permit.claims.id })).toEqual({ state: 'unknown' });
    expect([bench.stateOf(mine), bench.stateOf(other)]).toEqual(['active', 'active']);
  });

  test('releases a lease of another broker, which its own index does not know', async () => {
    const bench = createBench();
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    const other = createBench({ ports: { records: bench.records } });
    expect(await other.broker.release({ lease, permit: ask.permit.claims.id })).toEqual({ state: 'revoked' });
    // The first broker's index is old now: the compare-and-set tells it.
    expect(await bench.broker.release({ lease, permit: ask.permit.claims.id })).toEqual({ state: 'revoked' });
    expect(bench.revoked).toEqual([]);
  });
});

describe('sweep', () => {
  test('ends active leases past their end as expired, with evidence, and leaves the others', async () => {
    const bench = createBench();
    const [short, long] = [
      askOf({ claims: claimsOf({ obligations: { credential: { name: 'crm-key', ttl_s: 5 } } }) }),
      askOf(),
    ];
    await bench.broker.lease(short);
    await bench.broker.lease(long);
    bench.clock.at += 5_000;
    await bench.broker.sweep();
    expect([bench.stateOf(short), bench.stateOf(long)]).toEqual(['expired', 'active']);
    expect(bench.events.filter((e) => e.name === 'lease.revoked')).toMatchObject([{ data: { why: 'expired' } }]);
  });

  test('ends an intention that a dead broker left, as swept', async () => {
    const dead = createBench();
    const ask = askOf();
    dead.records.fail = 'after';
    await expect(dead.broker.lease(ask)).rejects.toThrow();
    const bench = createBench({ ports: { records: dead.records } });
    for (const held of dead.records.stored.values()) bench.index.put(held);
    await bench.broker.sweep();
    expect(dead.stateOf(ask), 'not while it may still be made').toBe('intended');
    bench.clock.at += 30_000;
    await bench.broker.sweep();
    expect(dead.stateOf(ask)).toBe('revoked');
    expect(bench.events).toMatchObject([{ name: 'lease.revoked', data: { why: 'swept' } }]);
    expect(bench.index.all()).toEqual([]);
  });

  test('does nothing to a lease that another broker ended first', async () => {
    const bench = createBench();
    const ask = askOf();
    const { lease } = await bench.broker.lease(ask);
    const other = createBench({ ports: { records: bench.records } });
    await other.broker.release({ lease, permit: ask.permit.claims.id });
    bench.clock.at += 30_000;
    await bench.broker.sweep();
    expect(bench.events.filter((e) => e.name === 'lease.revoked')).toEqual([]);
  });
});

describe('scope', () => {
  const leaseWith = async (scope: string | undefined, offer: { scope?: string; scoped?: boolean }) => {
    const bench = createBench({ offer });
    const ask = askOf({
      claims: claimsOf({
        obligations: { credential: scope === undefined ? { name: 'crm-key' } : { name: 'crm-key', scope } },
      }),
    });
    await bench.broker.lease(ask);
    return bench.records.stored.get(ask.permit.claims.id)?.record.scope;
  };
  test('is what the permit asks when the credential offers it', async () => {
    expect(await leaseWith('read', { scope: 'read write' })).toBe('read');
    expect(await leaseWith('read', {})).toBe('read');
    expect(await leaseWith(undefined, { scope: 'read write' })).toBe('read write');
    expect(await leaseWith(undefined, {})).toBe(undefined);
  });
  test('is refused when the credential does not offer it, or cannot be narrowed', async () => {
    await expect(leaseWith('read admin', { scope: 'read write' })).rejects.toEqual(
      refusal('CREDENTIAL_UNAVAILABLE', /does not offer the scope/),
    );
    await expect(leaseWith('read', { scoped: false })).rejects.toEqual(
      refusal('CREDENTIAL_UNAVAILABLE', /cannot be narrowed/),
    );
  });
});
