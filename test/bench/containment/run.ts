import type { AgentClient } from '@agentgate/client';
import type { Suites } from './data.ts';
import type { Gate } from './gate.ts';
import { createResults } from './recorded-result.ts';
import { NotDecided, type Replay, type ReplayOutcome, runReplay } from './replay.ts';

/** So many replays at once: while one's call runs, others connect and open sessions. */
const lanes = 8;
/** How often a replay is begun anew, by another agent, because the gate did not decide. */
const attempts = 3;
export const spareFor = (replays: number): number => Math.ceil(replays / 20) + attempts;

/** Those who replay. */
export interface Crew {
  with<T>(work: (agent: AgentClient) => Promise<T>): Promise<T>;
}

/** Each name is used once. */
export const freshAgents = (gate: Gate, names: readonly string[]): Crew => {
  const left = names.values();
  return {
    with: async (work) => {
      const { value: name, done } = left.next();
      if (done) throw new Error('no fresh agent is left');
      const agent = await gate.agent(name);
      try {
        return await work(agent);
      } finally {
        await agent.close();
      }
    },
  };
};

/** Each stays connected and works again and again, where nothing is remembered of an agent. */
export const standingAgents = (gate: Gate, names: readonly string[]): Crew => {
  const connected = new Map<string, Promise<AgentClient>>();
  let turn = 0;
  return {
    with: async (work) => {
      const name = names[turn++ % names.length] ?? '';
      const agent = connected.get(name) ?? gate.agent(name);
      connected.set(name, agent);
      return work(await agent);
    },
  };
};

export interface Work {
  suites: Suites;
  replays: readonly Replay[];
  crew: Crew;
  tell(line: string): void;
}

/** The outcomes, in the order of the replays. */
export const runAll = async (gate: Gate, { suites, replays, crew, tell }: Work): Promise<ReplayOutcome[]> => {
  const result = createResults();
  const once = (replay: Replay): Promise<ReplayOutcome> => {
    const suite = suites[replay.suite];
    const server = gate.servers[replay.suite];
    if (!suite || !server) throw new Error(`${replay.suite} has no tool server`);
    return crew.with(async (agent) => {
      const session = await agent.openSession({ purpose: replay.task.prompt });
      return runReplay(replay, { suite, session, server, result });
    });
  };
  const insist = async (replay: Replay, left = attempts): Promise<ReplayOutcome> => {
    try {
      return await once(replay);
    } catch (error) {
      if (!(error instanceof NotDecided) || left <= 1) throw error;
      tell(`${replay.suite} ${replay.task.id} begins anew: ${error.message}`);
      return insist(replay, left - 1);
    }
  };
  const outcomes: ReplayOutcome[] = new Array(replays.length);
  const queue = replays.entries();
  let done = 0;
  const lane = async () => {
    for (const [i, replay] of queue) {
      outcomes[i] = await insist(replay);
      if (++done % 1000 === 0) tell(`${done} replays done`);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return outcomes;
};
