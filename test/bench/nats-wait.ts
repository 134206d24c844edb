import { appendFileSync } from 'node:fs';
import { serveTools } from '@agentgate/client';

// The cooperative tool that kills are measured with: it writes down when each call starts, and stops when it is told to.
// Arguments: url, creds file, server, the file of the starts (milliseconds since the epoch, one line each).
const [, , servers = '', creds = '', server = '', starts = ''] = process.argv;
await serveTools({
  servers,
  creds,
  server,
  tools: [
    {
      name: 'wait',
      description: 'Waits until it is told to stop.',
      inputSchema: { type: 'object' },
      handler: (_, { signal }) =>
        new Promise((_, reject) => {
          appendFileSync(starts, `${performance.timeOrigin + performance.now()}\n`);
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        }),
    },
    { name: 'now', description: 'Answers at once.', inputSchema: { type: 'object' }, handler: () => 'done' },
  ],
});
process.stdout.write('ready\n');
