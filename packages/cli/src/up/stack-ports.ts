import { type ServiceName, services } from '@agentgate/contracts';
import { GroundError, type Ports, portIsFree } from '@agentgate/ground';

export interface StackPorts extends Ports {
  http: Record<ServiceName, number>;
  /** Of the witness that a stack has where its configuration names none. */
  witness: number;
  /** Of the MCP server for agents. */
  mcp: number;
}

/** Every port of a stack: the usual ones, or all from one number on, so that stacks run side by side. */
export const stackPorts = (base?: number): StackPorts => {
  const http = (first: number) =>
    Object.fromEntries(services.map((service, i) => [service, first + i])) as Record<ServiceName, number>;
  return base === undefined
    ? { nats: 4222, websocket: 9222, redis: 6380, witness: 8789, mcp: 8787, http: http(9101) }
    : { nats: base, websocket: base + 1, redis: base + 2, witness: base + 3, mcp: base + 4, http: http(base + 10) };
};

export const highestBase = 65_535 - 10 - services.length;

/** Throws GroundError that names the first port which somebody else has. */
export const requireFree = async (ports: StackPorts, { witness = true } = {}): Promise<void> => {
  const all: [string, number][] = [
    ['NATS', ports.nats],
    ['NATS over WebSocket', ports.websocket],
    ['Redis', ports.redis],
    ['MCP', ports.mcp],
    ...(witness ? [['witness', ports.witness] satisfies [string, number]] : []),
    ...Object.entries(ports.http),
  ];
  for (const [what, port] of all) {
    if (!(await portIsFree(port)))
      throw new GroundError(
        `port ${port} (${what}) is in use: end what listens there, or move all ports with --port-base N`,
      );
  }
};
