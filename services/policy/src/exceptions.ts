import {
  AgentGateError,
  type DecideAsk,
  type EventDraft,
  type ExceptionsRecord,
  exceptionLimits,
  type PolicyExceptAsk,
  type PolicyException,
  type policyExceptEndAsk,
} from '@agentgate/contracts';
import { canonical, sha256Hex } from '@agentgate/evidence';
import { type PreparedWhere, prepareWhere, UnsafeCondition } from '@agentgate/policy-engine';
import type { z } from 'zod';
import type { Agents, Catalog, ExceptionRecords } from './ports.ts';

// What an operator lets pass for a while. All that stand are one record, written by compare-and-set and followed by every replica; a
// replica that has not lately heard from the records' leader lets nothing pass by it. An exception stands in for a grant that is not
// there: the engine weighs it after everything that a grant says, and what the packs refuse or ask a person about they still do.

export interface ExceptionsOptions {
  records: ExceptionRecords;
  agents: Agents;
  catalog: Pick<Catalog, 'get'>;
  record(
    draft:
      | EventDraft<'policy.exception_asked'>
      | EventDraft<'policy.exception_added'>
      | EventDraft<'policy.exception_ended'>,
  ): Promise<unknown>;
  /** Two operators have to ask the same. */
  dualControl: boolean;
  newId(prefix: 'exc'): string;
  /** Milliseconds since the epoch, */
  now(): number;
  /** and milliseconds that are never set back. */
  monotonic(): number;
  log: { error(fields: object, message: string): void };
}

export interface Exceptions {
  /** The one that covers this very call now. */
  covering(ask: Pick<DecideAsk, 'tenant' | 'agent' | 'tool' | 'arguments'>): PolicyException | undefined;
  /** Whether one may cover some call of this agent on this tool now. */
  mayCover(ask: Pick<DecideAsk, 'tenant' | 'agent' | 'tool'>): boolean;
  /** Undefined where a second operator has to ask the same. */
  add(by: string, ask: PolicyExceptAsk): Promise<PolicyException | undefined>;
  end(by: string, ask: z.infer<typeof policyExceptEndAsk>): Promise<'ended' | 'not_found'>;
  /** As the records' leader has them. */
  list(): Promise<PolicyException[]>;
  /** The record as a watch saw it. */
  take(record: ExceptionsRecord, revision: number): void;
  /** Asks the leader, and takes out of the record what is over. */
  settle(): Promise<void>;
}

/** So long exceptions count here without a word from the records' leader: one may have been ended meanwhile. */
const staleMs = 3_000;
/** So long a second operator may take. */
const secondMs = 300_000;
/** Others write at the same time. */
const tries = 8;
const longestMs = exceptionLimits.maxS * 1000;
const maxRecordBytes = 256 * 1024;

interface Standing {
  exception: PolicyException;
  until: number;
  tools: ReadonlySet<string>;
  judge: PreparedWhere | undefined;
}

export const createExceptions = (opts: ExceptionsOptions): Exceptions => {
  const { records, now, monotonic } = opts;
  let revision = 0;
  let heardAt = Number.NEGATIVE_INFINITY;
  let standing = new Map<string, Standing[]>();

  const take: Exceptions['take'] = (record, at) => {
    if (at <= revision) return;
    revision = at;
    standing = Map.groupBy(
      record.exceptions.flatMap((each) => prepared(each) ?? []),
      ({ exception }) => keyOf(exception),
    );
  };

  const read = async (): Promise<{ value: ExceptionsRecord; revision: number }> => {
    const askedAt = monotonic();
    const seen = revision;
    const found = await records.exceptions();
    // Records that were set back do not know what was ended since: then none count here, until they are as new again.
    if ((found?.revision ?? 0) < seen)
      throw new AgentGateError('POLICY_UNAVAILABLE', 'the records have older exceptions than were seen already');
    if (found) take(found.value, found.revision);
    // What the leader said was true of some moment after it was asked.
    heardAt = Math.max(heardAt, askedAt);
    return found ?? { value: { v: 1, exceptions: [] }, revision: 0 };
  };

  /** Undefined where `to` has nothing to change. */
  const change = async (to: (exceptions: PolicyException[]) => PolicyException[] | undefined) => {
    for (let i = 0; i < tries; i++) {
      const before = await read();
      const exceptions = to(before.value.exceptions);
      if (!exceptions) return false;
      const value: ExceptionsRecord = { v: 1, exceptions };
      if (JSON.stringify(value).length > maxRecordBytes)
        throw new AgentGateError('FIELD_INVALID', '/where: with it the exceptions that stand are more than 256 KiB');
      const written = await records.keepExceptions(value, before.revision);
      if (written === undefined) continue;
      take(value, written);
      return true;
    }
    throw new AgentGateError('POLICY_UNAVAILABLE', 'the exceptions are being changed by others; try again');
  };

  const of = (ask: Pick<DecideAsk, 'tenant' | 'agent' | 'tool'>): Standing[] => {
    const mine = standing.get(keyOf(ask));
    if (!mine || monotonic() - heardAt > staleMs) return [];
    const at = now();
    return mine.filter(({ until, tools }) => at < until && until - at <= longestMs && tools.has(ask.tool));
  };

  /** Who asked first, or undefined where nobody else did. */
  const firstOf = async (by: string, { tenant, agent, tools, where, reason, for_s }: PolicyExceptAsk) => {
    const wanted = sha256Hex(canonical({ tenant, agent, tools: [...tools].sort(), where: where ?? {}, for_s }));
    const asked = await records.exceptionAsked();
    const isOpen = asked?.value.wanted === wanted && now() - asked.value.at < secondMs;
    if (isOpen && asked.value.by !== by) {
      // Taken with the word: one person's yes is good for one exception.
      const taken = await records.askException({ ...asked.value, at: 0 }, asked.revision);
      return taken === undefined ? undefined : asked.value.by;
    }
    await opts.record({
      name: 'policy.exception_asked',
      subject: agent,
      tenant,
      agent,
      data: { tools, ...(where && { where }), reason, by, for_s },
    });
    if (!isOpen) await records.askException({ v: 1, by, wanted, at: now() }, asked?.revision ?? 0);
    return undefined;
  };

  const add: Exceptions['add'] = async (by, wish) => {
    const { v: _, owner, for_s, ...ask } = wish;
    if (!opts.agents.get(ask.tenant, ask.agent))
      throw new AgentGateError('FIELD_INVALID', `/agent: tenant ${ask.tenant} has no agent ${ask.agent}`);
    // What nobody lists would wait for whoever gives a tool that name first.
    for (const [i, tool] of ask.tools.entries())
      if (!opts.catalog.get(tool))
        throw new AgentGateError(
          'FIELD_INVALID',
          `/tools/${i}: no server lists ${tool}${tool.includes('*') ? '; an exception names tools in full, and never by a pattern' : ''}`,
        );
    const at = now();
    const exception: PolicyException = {
      id: opts.newId('exc'),
      ...ask,
      owner: owner ?? by,
      by,
      at: new Date(at).toISOString(),
      until: new Date(at + for_s * 1000).toISOString(),
    };
    try {
      prepareWhere(exception.where ?? {});
    } catch (error) {
      if (error instanceof UnsafeCondition) throw new AgentGateError('FIELD_INVALID', `/where: ${error.message}`);
      throw error;
    }
    const { id, tenant, agent, tools, where, reason, until } = exception;
    requireRoom((await read()).value.exceptions, at);
    const first = opts.dualControl ? await firstOf(by, wish) : undefined;
    if (opts.dualControl && first === undefined) return undefined;
    if (first !== undefined) exception.asked_by = first;
    // Evidence first: nothing passes by what nobody can read of.
    await opts.record({
      name: 'policy.exception_added',
      subject: id,
      tenant,
      agent,
      data: {
        exception: id,
        tools,
        ...(where && { where }),
        owner: exception.owner,
        reason,
        by,
        ...(first !== undefined && { asked_by: first }),
        until,
      },
    });
    await change((exceptions) => {
      requireRoom(exceptions, at);
      return [...exceptions, exception];
    });
    return exception;
  };

  const end: Exceptions['end'] = async (by, { exception: id, reason }) => {
    let ended: PolicyException | undefined;
    // The record first: that it ends waits for nothing.
    const changed = await change((exceptions) => {
      ended = exceptions.find((each) => each.id === id && Date.parse(each.until) > now());
      return ended && exceptions.filter((each) => each.id !== id);
    });
    if (!changed || !ended) return 'not_found';
    await opts.record(endedEvent(ended, { why: 'operator', by, reason }));
    return 'ended';
  };

  const sweep = async (exceptions: readonly PolicyException[]) => {
    const isOver = ({ until }: PolicyException) => Date.parse(until) <= now();
    if (!exceptions.some(isOver)) return;
    let over: PolicyException[] = [];
    const changed = await change((standing) => {
      over = standing.filter(isOver);
      return over.length > 0 ? standing.filter((each) => !isOver(each)) : undefined;
    });
    // Only who took it out of the record tells of it.
    if (changed) for (const each of over) await opts.record(endedEvent(each, { why: 'expired' }));
  };

  return {
    take,
    add,
    end,
    covering: (ask) => of(ask).find(({ judge }) => !judge || judge(ask.arguments).state === 'holds')?.exception,
    mayCover: (ask) => of(ask).length > 0,
    list: async () =>
      (await read()).value.exceptions
        .filter(({ until }) => Date.parse(until) > now())
        .sort((a, b) => Date.parse(a.until) - Date.parse(b.until)),
    settle: async () => {
      try {
        await sweep((await read()).value.exceptions);
      } catch (error) {
        opts.log.error({ err: error }, 'the exceptions cannot be read or swept');
      }
    },
  };
};

const keyOf = ({ tenant, agent }: { tenant: string; agent: string }): string => `${tenant}/${agent}`;

const requireRoom = (exceptions: readonly PolicyException[], at: number) => {
  if (exceptions.filter(({ until }) => Date.parse(until) > at).length >= exceptionLimits.active)
    throw new AgentGateError(
      'OVERLOADED',
      `${exceptionLimits.active} exceptions stand already: end one, or change the policy`,
    );
};

/** One that could not have been made does not count, whoever wrote it. */
const prepared = (exception: PolicyException): Standing | undefined => {
  const until = Date.parse(exception.until);
  if (!(until - Date.parse(exception.at) <= longestMs)) return undefined;
  try {
    const judge = exception.where && prepareWhere(exception.where);
    return { exception, until, tools: new Set(exception.tools), judge };
  } catch {
    return undefined;
  }
};

const endedEvent = (
  { id, tenant, agent }: PolicyException,
  how: Omit<EventDraft<'policy.exception_ended'>['data'], 'exception'>,
): EventDraft<'policy.exception_ended'> => ({
  name: 'policy.exception_ended',
  subject: id,
  tenant,
  agent,
  data: { exception: id, ...how },
});
