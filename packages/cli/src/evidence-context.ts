import type { Bus } from '@agentgate/bus';
import type { StackStatus } from '@agentgate/contracts';
import type { Trust } from '@agentgate/runtime';
import type { Command } from 'commander';
import { createContext } from './context.ts';
import { connectAs, readStatus, trustOf } from './stack.ts';

/** What the evidence commands need of a running stack; each is looked up when it is asked for, since flags are known only then. */
export interface EvidenceContext {
  readonly home: string;
  readonly json: boolean;
  status(): StackStatus;
  bus(user: string): Promise<Bus>;
  trust(): Trust;
}

export const evidenceContext = (program: Command): EvidenceContext => {
  const flags = () => createContext(program.opts());
  return {
    get home() {
      return flags().home;
    },
    get json() {
      return flags().json;
    },
    status: () => readStatus(flags().home),
    bus: (user) => connectAs(flags().home, user),
    trust: () => trustOf(flags().home),
  };
};
