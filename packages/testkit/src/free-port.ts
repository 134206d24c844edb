import { createServer } from 'node:net';

const reserve = (): Promise<{ port: number; release: () => Promise<void> }> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') return reject(new Error('no port'));
      resolve({ port: address.port, release: () => new Promise((done) => server.close(() => done())) });
    });
  });

/** Ports that were free a moment ago, all different. */
export const differentPorts = async (count: number): Promise<number[]> => {
  const reserved = await Promise.all(Array.from({ length: count }, reserve));
  await Promise.all(reserved.map(({ release }) => release()));
  return reserved.map(({ port }) => port);
};

export const freePort = async (): Promise<number> => (await differentPorts(1))[0] ?? 0;
