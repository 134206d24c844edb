import { join } from 'node:path';
import { type AgentClient, connect } from '@agentgate/client';
import { eventually } from '../../eventually.ts';
import { type Stack, startStack } from '../../stack.ts';
import { recruit } from './agents.ts';
import type { Suites } from './data.ts';
import type { GateConfig } from './settings.ts';
import { type RecordedServer, startRecordedServer } from './tool-server.ts';

/** The project, running, with a recorded tool server a suite. */
export interface Gate {
  servers: Record<string, RecordedServer>;
  /** Connects as one of the configured agents; who stays connected is closed by `stop`. */
  agent(name: string): Promise<AgentClient>;
  /** What the project said, for when it fails. */
  output(): string;
  stop(): Promise<void>;
}

export const startGate = async (opts: { config: GateConfig; suites: Suites }): Promise<Gate> => {
  const { config, suites } = opts;
  const stack = await startStack({ config: () => config.text });
  const creds = (user: string) => join(stack.status.creds, `${user}.creds`);
  const servers: Record<string, RecordedServer> = {};
  const clients = new Set<AgentClient>();
  const stop = async () => {
    await Promise.all([...clients].map((client) => client.close().catch(() => {})));
    await Promise.all(Object.values(servers).map((server) => server.close().catch(() => {})));
    await stack.stop();
  };
  let minted = new Map<string, string>();
  const agent: Gate['agent'] = async (name) => {
    const client = await connect({ servers: stack.status.nats, creds: minted.get(name) ?? '' });
    const closing = { ...client, close: () => client.close().finally(() => clients.delete(closing)) };
    clients.add(closing);
    return closing;
  };
  try {
    const witness = { name: 'witness', labels: config.agents.slice(0, 1).flatMap((first) => first.labels) };
    minted = await recruit({ home: stack.home, natsUrl: stack.status.nats }, [witness, ...config.agents]);
    for (const [suite, { tools }] of Object.entries(suites))
      servers[suite] = await startRecordedServer({
        servers: stack.status.nats,
        creds: creds(`tool-${suite}`),
        suite,
        tools,
      });
    await seesTools(await agent(witness.name), suites);
  } catch (error) {
    await stop();
    throw error;
  }
  return { servers, agent, output: () => outputOf(stack), stop };
};

const outputOf = (stack: Stack): string => stack.output().slice(-3000);

/** Waits until an agent of the first group, to whom everything is granted, is shown every tool. */
const seesTools = async (client: AgentClient, suites: Suites) => {
  const wanted = Object.entries(suites).flatMap(([suite, { tools }]) => tools.map((tool) => `${suite}/${tool.name}`));
  const isComplete = async () => {
    const seen = new Set((await (await client.openSession()).tools()).map((tool) => tool.name));
    return wanted.every((tool) => seen.has(tool));
  };
  try {
    await eventually('the gate knows every recorded tool', isComplete, 30_000);
  } finally {
    await client.close();
  }
};
