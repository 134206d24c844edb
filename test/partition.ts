import { connect, createServer, type Socket } from 'node:net';

/** A way to NATS that can be cut: while it is, nothing arrives on either side, nobody is told, and what was sent arrives late. */
export interface Partition {
  url: string;
  cut(): void;
  heal(): void;
  /** Breaks every connection; each may be made anew. */
  sever(): void;
  close(): Promise<void>;
}

export const openPartition = async (natsUrl: string): Promise<Partition> => {
  const { hostname, port } = new URL(natsUrl);
  const sockets = new Set<Socket>();
  let isCut = false;
  const join = (from: Socket, to: Socket) => {
    sockets.add(from);
    if (isCut) from.pause();
    from.on('data', (chunk) => to.write(chunk));
    from.on('error', () => {});
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
  };
  const server = createServer((client) => {
    const nats = connect(Number(port), hostname);
    join(client, nats);
    join(nats, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const sever = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `nats://127.0.0.1:${address.port}`,
    cut: () => {
      isCut = true;
      for (const socket of sockets) socket.pause();
    },
    heal: () => {
      isCut = false;
      for (const socket of sockets) socket.resume();
    },
    sever,
    close: async () => {
      sever();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
