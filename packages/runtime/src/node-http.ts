import type { Server } from 'node:http';

/** Not imported: an import reads every export of node:http, and its WebSocket is undici, 10 MB in each service. */
export const http = process.getBuiltinModule('node:http');
export const https = process.getBuiltinModule('node:https');

/** Resolves with the port that it got; 0 asks for any that is free. */
export const listenOn = (server: Server, host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : port);
    });
  });
