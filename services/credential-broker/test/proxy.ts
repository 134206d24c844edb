import { connect, createServer, type Socket } from 'node:net';

export interface WireProxy {
  port: number;
  /** Every byte, both ways. */
  wire(): Buffer;
  close(): void;
}

/**
 * Stands between a client and a server on this machine, whose connection is not encrypted, and sees what they say. `tap` hears what the
 * client sends; where it answers false, that goes no further.
 */
export const startProxy = async (
  serverPort: number,
  tap: (chunk: Buffer) => boolean = () => true,
): Promise<WireProxy> => {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(serverPort, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (chunk: Buffer) => {
        chunks.push(Buffer.from(chunk));
        if (from === far || tap(chunk)) to.write(chunk);
      });
      from.on('end', () => to.end());
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    wire: () => Buffer.concat(chunks),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
};
