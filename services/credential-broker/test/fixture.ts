import type { EventDraft, LeaseAsk, LeaseRecord, PermitClaims, Scope } from '@agentgate/contracts';
import { covers, permitDomain, permitLines, runnerKeyText } from '@agentgate/contracts';
import {
  canonical,
  createKeyRing,
  generateSigningKey,
  type SigningKey,
  sealBatch,
  verifyingKey,
} from '@agentgate/evidence';
import { expect } from 'vitest';
import type { LeaseRecords } from '../src/ending.ts';
import type { HeldLease } from '../src/lease.ts';
import { createLeaseIndex } from '../src/lease-index.ts';
import { createListingCheck, createPermitCheck } from '../src/permit.ts';
import type { Offer, Provider } from '../src/provider.ts';
import { createRunnerKeyCheck } from '../src/runner-key.ts';
import { type BrokerPorts, createBroker, type Kills } from '../src/service.ts';
import { testSecrets } from './orders.ts';

export const start = Date.UTC(2026, 0, 2, 3, 4, 5);
export const curveKey = `X${'A'.repeat(55)}`;
export const secretText = 'hunter2-the-secret';

export const policyKey = generateSigningKey();
export const runnerKey = generateSigningKey();

let count = 0;
export const claimsOf = (change: Partial<PermitClaims> = {}, at = start): PermitClaims => {
  const n = String(++count).padStart(20, '0');
  return {
    v: 1,
    id: `prm_${n}`,
    call: `call_${n}`,
    tenant: 'default',
    agent: 'demo',
    session: 'ses_00000000000000000001',
    tool: 'crm/find',
    call_digest: 'a'.repeat(64),
    policy: { revision: 'r1', digest: 'b'.repeat(64) },
    schema_digest: 'c'.repeat(64),
    issued_at: at,
    expires_at: at + 5_000,
    deadline: at + 30_000,
    obligations: { credential: { name: 'crm-key' } },
    ...change,
  };
};

export interface AskOptions {
  claims?: PermitClaims;
  permitKey?: SigningKey;
  signer?: SigningKey;
  sealTo?: string;
  epoch?: number;
}

/** What an honest runner asks with an honest permit, unless an option says otherwise. */
export const askOf = ({
  claims = claimsOf(),
  permitKey = policyKey,
  signer = runnerKey,
  sealTo = curveKey,
  epoch = 0,
}: AskOptions = {}): LeaseAsk => {
  const [seal] = sealBatch({ domain: permitDomain, lines: permitLines, leaves: [canonical(claims)], key: permitKey });
  if (!seal) throw new Error('no seal');
  const unsigned = { permit: { claims, seal }, runner: 'runner-1', seal_to: sealTo, epoch };
  return { ...unsigned, sig: Buffer.from(signer.sign(Buffer.from(runnerKeyText(unsigned)))).toString('base64') };
};

export type FakeRecords = LeaseRecords & {
  stored: Map<string, HeldLease>;
  history: LeaseRecord[];
  fail?: 'before' | 'after';
};

/** Compare-and-set in memory. `fail` lets the next write err before or after it was persisted. */
export const createFakeRecords = (): FakeRecords => {
  const stored = new Map<string, HeldLease>();
  const used = new Map<string, string>();
  let revision = 0;
  const records: FakeRecords = {
    stored,
    history: [],
    create: async (record) => (stored.has(record.permit) || used.has(record.permit) ? 'conflict' : write(record)),
    update: async (record, at) => (stored.get(record.permit)?.revision === at ? write(record) : 'conflict'),
    read: async (permit) => stored.get(permit),
    use: async (permit, lease) => {
      if (stored.has(permit) || used.has(permit)) return 'conflict';
      used.set(permit, lease);
      return 'used';
    },
  };
  const write = (record: LeaseRecord): number => {
    const { fail } = records;
    delete records.fail;
    if (fail === 'before') throw new Error('not persisted');
    stored.set(record.permit, { record, revision: ++revision });
    records.history.push(record);
    if (fail === 'after') throw new Error('persisted but errored');
    return revision;
  };
  return records;
};

export const createFakeKills = () => {
  const orders: Scope[] = [];
  const kills: Kills & { orders: Scope[]; stale: boolean; at: number } = {
    orders,
    stale: false,
    at: 0,
    epoch: () => kills.at,
    apply: (scope) => void orders.push(scope),
    reached: async (epoch) => epoch <= kills.at,
    check: (call) => {
      if (kills.stale) throw new (class extends Error {})('stale');
      const killed = orders.find((scope) => covers(scope, call));
      return killed ? { killed: { scope: killed, reason: 'by a test' } } : {};
    },
  };
  return kills;
};

/** A broker whose surroundings are in memory, and all that a test may turn or look at. */
export const createBench = (
  change: { provider?: Partial<Provider>; offer?: Partial<Offer>; ports?: Partial<BrokerPorts> } = {},
) => {
  const clock = { at: start };
  const now = () => clock.at;
  const events: EventDraft[] = [];
  const minted: string[] = [];
  const revoked: string[] = [];
  const sealed: Uint8Array[] = [];
  const records = createFakeRecords();
  const kills = createFakeKills();
  const index = createLeaseIndex();
  const provider: Provider = {
    kind: 'postgres',
    mint: async ({ lease }) => {
      minted.push(lease);
      return { parts: { secret: secretText }, hidden: ['secret'] };
    },
    revoke: async ({ lease }) => void revoked.push(lease),
    probe: async () => ({ state: 'refused', detail: 'tried' }),
    close: async () => {},
    ...change.provider,
  };
  const offer: Offer = {
    provider,
    maxTtlMs: Number.POSITIVE_INFINITY,
    scope: undefined,
    scoped: true,
    reuse: 'call',
    needsPerson: false,
    maxLeases: 1_000,
    ...change.offer,
  };
  const logged: object[] = [];
  const note = (fields: object, message: string) => void logged.push({ ...fields, message });
  const keys = createKeyRing([{ signer: 'policy', publicKey: policyKey.publicKey }]);
  const ports: BrokerPorts = {
    permit: createPermitCheck({ keys, now }),
    listing: createListingCheck({ keys, now }),
    runnerKey: createRunnerKeyCheck(() => [verifyingKey(runnerKey.publicKey)]),
    kills,
    offers: new Map([['crm-key', offer]]),
    records,
    index,
    secrets: testSecrets(),
    subjects: { personOf: async () => expect.fail('nobody was asked for') },
    sealing: {
      publicKey: 'XBROKER',
      seal: (secret, to) => {
        sealed.push(secret);
        return Buffer.from(`${to}:${Buffer.from(secret).toString('utf8')}`).toString('base64');
      },
    },
    evidence: {
      record: async (draft) => {
        events.push(draft);
        return 'evt_00000000000000000001';
      },
    },
    log: { info: note, warn: note, error: note },
    now,
    ...change.ports,
  };
  const broker = createBroker(ports);
  const stateOf = (ask: LeaseAsk) => records.stored.get(ask.permit.claims.id)?.record.state;
  return { broker, ports, clock, events, minted, revoked, sealed, records, kills, index, logged, stateOf };
};
