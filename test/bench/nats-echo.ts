import { readFileSync } from 'node:fs';
import { serveTools } from '@agentgate/client';

// The echo tool on NATS that throughput is measured with. Arguments: url, creds file.
const [, , servers = '', creds = ''] = process.argv;
await serveTools({
  servers,
  creds: readFileSync(creds, 'utf8'),
  server: 'fast',
  tools: [
    {
      name: 'echo',
      description: 'Returns its text.',
      inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
      handler: async (args) => ({ content: [{ type: 'text', text: String(args.text) }] }),
    },
  ],
});
process.stdout.write('ready\n');
