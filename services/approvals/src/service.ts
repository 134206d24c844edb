import {
  AgentGateError,
  type ApprovalGrant,
  type ApprovalQuestion,
  type ApprovalRecord,
  type ApproveAnswer,
  killedError,
  maxApprovalArguments,
  type PendingApproval,
  type Scope,
  toPointer,
} from '@agentgate/contracts';
import { canonical } from '@agentgate/evidence';
import { approvalBinding, approvalInvalid, type KillView } from '@agentgate/runtime';
import { type ApprovalIndex, identityOf, isOpen } from './approval-index.ts';
import type { Evidence, Grants, Held, Records } from './ports.ts';

export interface ApprovalsOptions {
  records: Records;
  index: ApprovalIndex;
  evidence: Evidence;
  grants: Grants;
  kills: Pick<KillView, 'check'>;
  newId: () => string;
  now: () => number;
  ttlMs: number;
  /** Roles of people; nobody who is not named has one. */
  rolesOf: (person: string) => readonly string[];
}

export interface Redemption {
  approval: string;
  binding: string;
  call: string;
}

export interface Approvals {
  request(question: ApprovalQuestion): Promise<{ id: string; expires_at: string }>;
  /** Takes a granted approval for this call, once. Throws APPROVAL_INVALID. */
  redeem(ask: Redemption): Promise<{ grant: ApprovalGrant } | { pending: { id: string; expires_at: string } }>;
  decide(
    by: string,
    verdict: 'granted' | 'rejected',
    ask: { approval: string; reason?: string | undefined },
  ): Promise<ApproveAnswer>;
  list(tenant: string | undefined): { pending: PendingApproval[]; more?: number };
  /** Voids what waits or was granted in the scope (and was asked for before, RFC 3339); how many it were. */
  voidScope(order: { epoch: number; scope: Scope; why: string; askedBefore?: string | undefined }): Promise<number>;
  /** Ends what is past its time. */
  sweep(): Promise<void>;
}

/** Two writers at once are common, five are not. */
const maxTries = 8;
const maxOrders = 256;
/** A list that no message could hold is cut; the oldest are answered first. */
const maxListed = 200;
const maxListedBytes = 512 * 1024;
/** Of one agent: nobody's questions are to hide everybody else's. */
const maxWaiting = 50;

export const createApprovals = (opts: ApprovalsOptions): Approvals => {
  const { records, index, now } = opts;
  /** How many each of the last orders voided, by its epoch. */
  const orders = new Map<number, Promise<number>>();
  const iso = (ms: number) => new Date(ms).toISOString();

  /** Writes a change; undefined when somebody else was first. */
  const write = async (held: Held, change: Partial<ApprovalRecord>): Promise<ApprovalRecord | undefined> => {
    const record = { ...held.record, ...change };
    const revision = await records.update(record, held.revision);
    if (revision === 'conflict') return undefined;
    index.put({ record, revision });
    return record;
  };
  const tell = (
    record: ApprovalRecord,
    event: { name: 'approval.expired' | 'approval.voided' | 'approval.granted' | 'approval.rejected'; more?: object },
  ) => {
    const { tenant, agent, session, call } = record.question;
    return opts.evidence.record({
      name: event.name,
      subject: record.id,
      tenant,
      agent,
      session,
      data: { approval: record.id, call, ...event.more },
    } as Parameters<Evidence['record']>[0]);
  };
  const end = async (held: Held, state: 'expired' | 'voided', why = ''): Promise<boolean> => {
    const record = await write(held, { state });
    if (!record) return false;
    await tell(record, state === 'expired' ? { name: 'approval.expired' } : { name: 'approval.voided', more: { why } });
    return true;
  };
  const isOver = ({ record }: Held) => Date.parse(record.expires_at) <= now();

  /** Questions that are being written down, by what they are about: the same one twice at once is one. */
  const asking = new Map<string, Promise<{ id: string; expires_at: string }>>();
  const request: Approvals['request'] = async (question) => {
    const binding = approvalBinding(question);
    const known = asking.get(binding);
    if (known) return known;
    const asked = ask(question, binding).finally(() => asking.delete(binding));
    asking.set(binding, asked);
    return asked;
  };
  const refuseKilled = (question: ApprovalQuestion) => {
    const { killed } = opts.kills.check(question);
    if (killed) throw killedError(killed);
  };

  const ask = async (question: ApprovalQuestion, binding: string): Promise<{ id: string; expires_at: string }> => {
    refuseKilled(question);
    const bytes = Buffer.byteLength(canonical(question.arguments));
    if (bytes > maxApprovalArguments)
      throw new AgentGateError(
        'POLICY_DENIED',
        `its arguments have ${bytes} bytes: a person is asked about at most ${maxApprovalArguments}`,
      );
    const waiting = index.pendingFor(binding);
    if (waiting && !isOver(waiting)) return { id: waiting.record.id, expires_at: waiting.record.expires_at };
    if (index.pendingOf(question) >= maxWaiting)
      throw new AgentGateError('RATE_LIMITED', `${maxWaiting} questions of this agent wait for a person already`);
    const at = now();
    const last = index.lastGranted(question);
    const record: ApprovalRecord = {
      v: 1,
      id: opts.newId(),
      state: 'pending',
      binding,
      question,
      ...(last && { changed: changedPointers(last, question.arguments) }),
      requested_at: iso(at),
      expires_at: iso(at + opts.ttlMs),
      decisions: [],
    };
    const { tenant, agent, session, call, tool, reason, rule, policy } = question;
    // Evidence first: nobody is asked about what is not recorded. Without the binding: its digest, unsalted, would give short arguments away.
    await opts.evidence.record({
      name: 'approval.requested',
      subject: record.id,
      tenant,
      agent,
      session,
      data: {
        approval: record.id,
        call,
        tool,
        reason,
        ...(rule !== undefined && { rule }),
        expires_at: record.expires_at,
        policy,
      },
    });
    const revision = await records.create(record);
    if (revision === 'conflict') throw new AgentGateError('INTERNAL', 'internal error');
    index.put({ record, revision });
    try {
      // A kill that came meanwhile did not see it.
      refuseKilled(question);
    } catch (error) {
      await end({ record, revision }, 'voided', 'a kill covers it');
      throw error;
    }
    return { id: record.id, expires_at: record.expires_at };
  };

  const tryRedeem = async (held: Held, ask: Redemption): Promise<{ grant: ApprovalGrant } | undefined> => {
    const { question, binding, decisions, id } = held.record;
    const taken = await write(held, { state: 'consumed', consumed_by: ask.call });
    if (!taken) return undefined;
    const by = decisions.flatMap((each) => (each.verdict === 'granted' ? [each.by] : []));
    const { tenant, agent, session, call } = question;
    // It is used from here on, whatever becomes of the call: a crash never gives it back.
    await opts.evidence.record({
      name: 'approval.consumed',
      subject: id,
      tenant,
      agent,
      session,
      data: { approval: id, call: ask.call, for: call, by },
    });
    return {
      grant: opts.grants.seal({
        approval: id,
        binding,
        by,
        call: ask.call,
        expires_at: Date.parse(held.record.expires_at),
        granted_at: Math.max(...decisions.map((each) => Date.parse(each.at))),
        v: 1,
      }),
    };
  };

  const redeem: Approvals['redeem'] = async (ask) => {
    for (let tries = 0; tries < maxTries; tries++) {
      const held = await records.read(ask.approval);
      if (!held) throw approvalInvalid('it is not known');
      const { record } = held;
      // Somebody else's is answered as one that does not exist.
      if (record.binding !== ask.binding) throw approvalInvalid('it is not known for this call');
      if (isOpen(record) && isOver(held)) {
        await end(held, 'expired');
        continue;
      }
      if (isOpen(record) && opts.kills.check(identityOf(record)).killed) {
        await end(held, 'voided', 'a kill covers it');
        continue;
      }
      switch (record.state) {
        case 'pending':
          return { pending: { id: record.id, expires_at: record.expires_at } };
        case 'rejected':
          throw approvalInvalid('it was rejected');
        case 'expired':
          throw approvalInvalid('it has expired');
        case 'voided':
          throw approvalInvalid('it was voided');
        case 'consumed':
          throw approvalInvalid('it was used already');
        case 'granted': {
          const taken = await tryRedeem(held, ask);
          if (taken) return taken;
          continue;
        }
        default:
          record.state satisfies never;
      }
    }
    throw new AgentGateError('POLICY_UNAVAILABLE', 'the approval is being changed by others');
  };

  const decide: Approvals['decide'] = async (by, verdict, { approval, reason }) => {
    for (let tries = 0; tries < maxTries; tries++) {
      const held = await records.read(approval);
      if (!held) throw approvalInvalid('it is not known');
      const { record } = held;
      if (record.state === 'expired' || record.state === 'voided') return { v: 1, status: record.state };
      // Also one that was granted and not used: whoever asks after its time hears the same, before the next sweep and after it.
      if (isOpen(record) && isOver(held)) {
        await end(held, 'expired');
        continue;
      }
      if (record.state !== 'pending') return { v: 1, status: 'already_decided' };
      if (opts.kills.check(identityOf(record)).killed) {
        await end(held, 'voided', 'a kill covers it');
        continue;
      }
      refuseUnfit(by, record);
      if (record.decisions.some((each) => each.by === by)) return { v: 1, status: 'already_decided' };
      const decisions = [...record.decisions, { by, at: iso(now()), verdict, ...(reason !== undefined && { reason }) }];
      const isEnough = verdict === 'rejected' || decisions.length >= record.question.approvers.min;
      const written = await write(held, { decisions, ...(isEnough && { state: verdict }) });
      if (!written) continue;
      const more = { by, ...(reason !== undefined && { reason }) };
      await tell(written, { name: verdict === 'granted' ? 'approval.granted' : 'approval.rejected', more });
      return { v: 1, status: isEnough ? verdict : 'pending_second' };
    }
    throw new AgentGateError('POLICY_UNAVAILABLE', 'the approval is being changed by others');
  };

  const refuseUnfit = (by: string, { question }: ApprovalRecord): void => {
    if (by === question.agent) throw new AgentGateError('POLICY_DENIED', 'who asks does not approve');
    const { roles } = question.approvers;
    if (roles && !roles.some((role) => opts.rolesOf(by).includes(role)))
      throw new AgentGateError('POLICY_DENIED', `this needs somebody who is ${roles.join(' or ')}`);
  };

  return {
    request,
    redeem,
    decide,
    list: (tenant) => {
      const waiting = inTurn(index.pending(tenant).filter((record) => Date.parse(record.expires_at) > now()));
      const pending: PendingApproval[] = [];
      let left = maxListedBytes;
      for (const record of waiting.slice(0, maxListed)) {
        const shown = shownOf(record);
        left -= Buffer.byteLength(JSON.stringify(shown));
        if (left < 0 && pending.length > 0) break;
        pending.push(shown);
      }
      const more = waiting.length - pending.length;
      return { pending, ...(more > 0 && { more }) };
    },
    voidScope: async ({ epoch, scope, why, askedBefore }) => {
      // The stream and the kill-switch itself tell of the same order: both hear what it voided, and who comes second waits for it.
      const known = orders.get(epoch);
      if (known && askedBefore !== undefined) return known;
      // The kill-switch itself asks for all; the stream's copy, which may come years later, for what was asked before the order.
      const voiding = (async () => ((await known) ?? 0) + (await voidAll(scope, why, askedBefore)))();
      orders.set(epoch, voiding);
      voiding.catch(() => orders.delete(epoch));
      for (const oldest of orders.keys()) {
        if (orders.size <= maxOrders) break;
        orders.delete(oldest);
      }
      return voiding;
    },
    sweep: async () => {
      for (const held of index.overdue(now())) await end(held, 'expired');
    },
  };

  async function voidAll(scope: Scope, why: string, askedBefore: string | undefined): Promise<number> {
    const covered = index
      .coveredBy(scope)
      .filter(({ record }) => askedBefore === undefined || record.requested_at <= askedBefore);
    const voided = await Promise.all(covered.map((held) => voidOne(held, why)));
    return voided.filter(Boolean).length;
  }

  async function voidOne(known: Held, why: string): Promise<boolean> {
    let held: Held | undefined = known;
    for (let tries = 0; held && isOpen(held.record) && tries < maxTries; tries++) {
      if (await end(held, 'voided', why)) return true;
      held = await records.read(known.record.id);
    }
    return false;
  }
};

/** The first of each agent, then the second of each, and so on: who asks much is answered last. */
const inTurn = (records: ApprovalRecord[]): ApprovalRecord[] => {
  const asked = new Map<string, number>();
  return records
    .map((record) => {
      const { tenant, agent } = record.question;
      const turn = asked.get(`${tenant}/${agent}`) ?? 0;
      asked.set(`${tenant}/${agent}`, turn + 1);
      return { record, turn };
    })
    .sort((a, b) => a.turn - b.turn)
    .map(({ record }) => record);
};

const shownOf = ({ id, question, expires_at, changed, decisions }: ApprovalRecord): PendingApproval => {
  const { schema_digest: _, policy: __, ...asked } = question;
  const granted_by = decisions.flatMap((each) => (each.verdict === 'granted' ? [each.by] : []));
  return { id, ...asked, expires_at, ...(changed && { changed }), granted_by };
};

const maxChanged = 64;
/** Leaves that differ, and that came or went. */
export const changedPointers = (before: unknown, after: unknown): string[] => {
  const found: string[] = [];
  const walk = (a: unknown, b: unknown, path: readonly string[]): void => {
    if (found.length >= maxChanged) return;
    if (isTree(a) && isTree(b) && Array.isArray(a) === Array.isArray(b)) {
      for (const key of new Set([...Object.keys(a), ...Object.keys(b)]))
        walk(Object.hasOwn(a, key) ? a[key] : undefined, Object.hasOwn(b, key) ? b[key] : undefined, [...path, key]);
    } else if (a !== b && JSON.stringify(a) !== JSON.stringify(b)) found.push(toPointer(path).slice(0, 512));
  };
  walk(before, after, []);
  return found;
};
const isTree = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
