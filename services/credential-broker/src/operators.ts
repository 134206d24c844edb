import {
  AgentGateError,
  type LeaseRecord,
  type OpenLease,
  type PermitClaims,
  type resolveLeaseAsk,
  type revokeLeasesAsk,
  type TestCredentialAnswer,
} from '@agentgate/contracts';
import { newId } from '@agentgate/runtime';
import type { z } from 'zod';
import { atProvider } from './at-provider.ts';
import { type EndingPorts, revokedEvent, write } from './ending.ts';
import type { HeldLease } from './lease.ts';
import type { Probe } from './provider.ts';
import type { Broker } from './service.ts';
import { within } from './within.ts';

// What an operator may ask of the broker (PROTOCOL.md, "Operators").

const maxListed = 500;
const maxFailures = 64;
const testTtlMs = 30_000;
const probeMs = 5_000;

export interface BrokerOperators {
  leases(prefix: string | undefined): { leases: OpenLease[]; more?: number };
  revoke(
    by: string,
    ask: z.infer<typeof revokeLeasesAsk>,
  ): Promise<{ revoked: number; unproven: number; failed: { lease: string; problem: string }[]; ms: number }>;
  resolve(by: string, ask: z.infer<typeof resolveLeaseAsk>): Promise<'resolved' | 'not_irrevocable' | 'not_found'>;
  /** Makes a lease as for a call, uses it, ends it and tries to use it again. */
  test(by: string, credential: string): Promise<Omit<TestCredentialAnswer, 'v'>>;
}

type Ports = EndingPorts & { broker: Pick<Broker, 'issue' | 'endAll'>; instance: string };

export const createBrokerOperators = (ports: Ports): BrokerOperators => ({
  leases: (prefix) => {
    const held = (prefix === undefined ? ports.index.all() : ports.index.under(prefix)).map(({ record }) => record);
    const leases = held
      .sort((a, b) => a.created_at.localeCompare(b.created_at))
      .slice(0, maxListed)
      .map(shown);
    return { leases, ...(held.length > maxListed && { more: held.length - maxListed }) };
  },
  revoke: (by, ask) => revoke(ports, by, ask),
  resolve: (by, ask) => resolve(ports, by, ask),
  test: (by, credential) => test(ports, by, credential),
});

const shown = (record: LeaseRecord): OpenLease => ({
  lease: record.id,
  credential: record.credential,
  provider: record.provider,
  ...(record.scope !== undefined && { scope: record.scope }),
  ...(record.subject && { person: record.subject.person }),
  tool: record.tool,
  state: record.state as OpenLease['state'],
  created_at: record.created_at,
  expires_at: record.expires_at,
  ...(record.ending?.problem !== undefined && { problem: record.ending.problem }),
});

const revoke = async (
  { index, broker, log }: Ports,
  by: string,
  { prefix, reason }: z.infer<typeof revokeLeasesAsk>,
): ReturnType<BrokerOperators['revoke']> => {
  const began = performance.now();
  const covered = index.under(prefix);
  log.warn({ by, prefix, reason, leases: covered.length }, 'an operator ends leases');
  const ended = await broker.endAll(covered, () => ({ why: 'operator', by, reason }));
  const over = ended.flatMap((e) => ('proof' in e ? [e.proof] : []));
  const left = index.under(prefix).map(({ record }) => ({
    lease: record.id,
    problem: record.ending?.problem ?? 'somebody else is ending it',
  }));
  return {
    revoked: over.length,
    unproven: over.filter(({ kind }) => kind === 'unprovable').length,
    failed: left.slice(0, maxFailures),
    ms: performance.now() - began,
  };
};

const resolve = async (
  ports: Ports,
  by: string,
  { lease, reason }: z.infer<typeof resolveLeaseAsk>,
): ReturnType<BrokerOperators['resolve']> => {
  const found = ports.index.all().find(({ record }) => record.id === lease);
  if (!found) return 'not_found';
  if (found.record.state !== 'irrevocable') return 'not_irrevocable';
  await ports.evidence.record(
    revokedEvent(
      found.record,
      { why: 'resolved', by, reason },
      { kind: 'unprovable', detail: 'a person says that it was ended' },
    ),
  );
  const { handle: _, ...rest } = found.record;
  const written = await write(ports, { ...rest, state: 'revoked' }, found.revision);
  if (written === 'conflict') throw new AgentGateError('BROKER_UNAVAILABLE', 'the lease was changed meanwhile');
  return 'resolved';
};

type Step = TestCredentialAnswer['steps'][number];

const test = async (ports: Ports, by: string, credential: string): ReturnType<BrokerOperators['test']> => {
  const offer = ports.offers.get(credential);
  if (!offer) throw new AgentGateError('CREDENTIAL_UNAVAILABLE', `no credential is named ${credential}`);
  if (offer.needsPerson)
    throw new AgentGateError(
      'CREDENTIAL_UNAVAILABLE',
      `credential ${credential} is made for the person of a session only: it is tried by a call`,
    );
  const steps: Step[] = [];
  const timed = async <T>(
    step: Step['step'],
    work: () => Promise<T>,
    tell: (value: T) => Omit<Step, 'step' | 'ms'>,
  ) => {
    const began = performance.now();
    const ms = () => Math.round((performance.now() - began) * 1_000) / 1_000;
    try {
      const value = await work();
      steps.push({ step, ms: ms(), ...tell(value) });
      return value;
    } catch (error) {
      const detail = error instanceof AgentGateError ? error.message : 'the provider failed';
      steps.push({ step, ms: ms(), status: 'failed', detail });
      return undefined;
    }
  };
  const done = () => ({ ok: steps.every(({ status }) => status !== 'failed'), steps });
  const issued = await timed(
    'mint',
    () => ports.broker.issue(testClaims(by, credential, ports.now()), { runner: ports.instance }),
    ({ held }) => ({ status: 'ok', detail: `until ${held.record.expires_at}` }),
  );
  if (!issued) return done();
  await timed(
    'use',
    async () =>
      within(
        probeMs,
        offer.provider.probe(await atProvider(issued.held.record, ports.secrets)),
        'it could not be tried',
      ),
    (probe) => ({ status: statusOf(probe, 'alive'), detail: probe.detail }),
  );
  await end(ports, issued.held, by, steps);
  return done();
};

const statusOf = ({ state }: Probe, wanted: Probe['state']): Step['status'] =>
  state === 'unprovable' ? 'unprovable' : state === wanted ? 'ok' : 'failed';

const end = async ({ broker }: Ports, held: HeldLease, by: string, steps: Step[]): Promise<void> => {
  const [ended] = await broker.endAll([held], () => ({ why: 'test', by }));
  if (ended && 'proof' in ended) {
    const { proof, revokeMs, probeMs: took } = ended;
    steps.push({ step: 'revoke', status: 'ok', ms: revokeMs, detail: '' });
    steps.push({
      step: 'refused',
      status: proof.kind === 'refused' ? 'ok' : 'unprovable',
      ms: took,
      detail: proof.detail,
    });
    return;
  }
  const problem = ended && 'problem' in ended ? ended.problem : 'somebody else ended it';
  steps.push({ step: 'revoke', status: 'failed', ms: 0, detail: problem });
};

/** The claims that a permit would have; no permit is made of them. */
const testClaims = (by: string, credential: string, now: number): PermitClaims => ({
  v: 1,
  id: newId('prm'),
  call: newId('call'),
  call_digest: '0'.repeat(64),
  tenant: 'default',
  agent: by,
  session: newId('ses'),
  tool: 'agentgate/credentials-test',
  policy: { revision: 'none', digest: '0'.repeat(64) },
  schema_digest: '0'.repeat(64),
  issued_at: now,
  expires_at: now + 1_000,
  deadline: now + testTtlMs,
  obligations: { credential: { name: credential } },
});
