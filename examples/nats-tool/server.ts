import { serveTools } from '@agentgate/client';

const [servers = 'nats://127.0.0.1:4222', creds = '.agentgate/creds/tool-echo.creds'] = process.argv.slice(2);
const text = { type: 'string' };
const echo = {
  name: 'echo',
  description: 'Returns its text.',
  inputSchema: { type: 'object', properties: { text }, required: ['text'], additionalProperties: false },
  handler: (args: Record<string, unknown>) => String(args.text),
};
const server = await serveTools({ servers, creds, server: 'echo', tools: [echo] });
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void server.close().catch(console.error));
