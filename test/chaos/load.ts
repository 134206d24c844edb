import { type CallReply, callReply } from '@agentgate/contracts';
import { expect } from 'vitest';
import { eventually } from '../eventually.ts';
import type { EvidenceReader } from '../evidence-reader.ts';
import type { Agent } from '../parties.ts';
import type { Stack } from '../stack.ts';

export interface Sent {
  tag: string;
  /** Undefined where nobody answered. */
  reply: CallReply | undefined;
}

/** A few calls in flight all the time, each with a tag of its own, so that it can be told what became of it. */
export interface Load {
  sent: Sent[];
  stop(): Promise<Sent[]>;
}

const inFlight = 4;
const pauseMs = 20;

export const startLoad = (agent: Agent, session: string, about: string, tool = 'probe/echo'): Load => {
  const sent: Sent[] = [];
  let goesOn = true;
  let count = 0;
  const worker = async () => {
    while (goesOn) {
      const tag = `${about} ${++count}`;
      const body = JSON.stringify({ v: 1, session, tool, arguments: { text: tag }, timeout_ms: 4_000 });
      const answer = agent.bus.requestRaw(`agent.${agent.name}.call`, body, { of: 'ingress', timeoutMs: 6_500 });
      const reply = await answer.then(
        (data) => callReply.parse(JSON.parse(new TextDecoder().decode(data))),
        () => undefined,
      );
      sent.push({ tag, reply });
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  };
  const workers = Array.from({ length: inFlight }, worker);
  return {
    sent,
    stop: async () => {
      goesOn = false;
      await Promise.all(workers);
      return sent;
    },
  };
};

/** What a reply may say although something is broken: never a false yes, and never that nothing ran where something did. */
export const expectHonest = (stack: Stack, sent: readonly Sent[], allowed: RegExp): void => {
  const starts = new Map<string, number>();
  for (const { event, tag = '' } of stack.probe.entries())
    if (event === 'start') starts.set(tag, (starts.get(tag) ?? 0) + 1);
  const wrong: string[] = [];
  for (const { tag, reply } of sent) {
    const ran = starts.get(tag) ?? 0;
    const status = reply?.status ?? 'no answer';
    const what = `${tag}: ${status} ${reply?.code} ${reply?.reason}, ran ${ran} times`;
    if (ran > 1) wrong.push(what);
    if (status === 'ok' && (ran !== 1 || reply?.evidence?.completed === undefined)) wrong.push(what);
    if (/^(unavailable|denied|killed|invalid)$/.test(status) && ran > 0) wrong.push(what);
    if (status !== 'ok' && !allowed.test(status)) wrong.push(what);
  }
  expect(wrong).toEqual([]);
};

/** The first call that is answered with ok, within the time that a service has to come back. */
export const expectRecovery = async (agent: Agent, session: string, about: string): Promise<number> => {
  const began = performance.now();
  let last: string | undefined;
  await eventually(
    `calls go through again after ${about}`,
    async () => {
      const reply = await agent.call(session, 'probe/echo', { text: `recovery ${about} ${performance.now()}` });
      last = `${reply.status} ${reply.code} ${reply.reason}`;
      return reply.status === 'ok';
    },
    15_000,
  ).catch((error: unknown) => {
    throw new Error(`no recovery after ${about}: ${last}`, { cause: error });
  });
  return performance.now() - began;
};

/** Every decision and outcome that an agent was told of is in EVIDENCE exactly once, and the whole of it verifies. */
export const expectWholeEvidence = async (evidence: EvidenceReader, sent: readonly Sent[]): Promise<void> => {
  const told = sent
    .flatMap(({ reply }) => [reply?.evidence?.decided, reply?.evidence?.completed])
    .filter((id) => id !== undefined);
  const missing = () => {
    const here = new Set(evidence.entries().map((e) => e.event.id));
    return told.filter((id) => !here.has(id));
  };
  await eventually(`all ${told.length} events are in EVIDENCE`, () => missing().length === 0, 20_000);
  const entries = evidence.entries();
  expect(entries.map((e) => e.index)).toEqual(entries.map((_, i) => i));
  expect(new Set(entries.map((e) => e.event.id)).size).toBe(entries.length);
  expect(entries.filter((e) => !e.verdict.ok || !e.hashHolds)).toEqual([]);
};
