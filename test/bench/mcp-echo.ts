import { createInterface } from 'node:readline';

// The smallest MCP server over stdio that answers: what is measured is the gate, not a server's framework.
interface Message {
  id?: number | string;
  method?: string;
  params?: { protocolVersion?: string; arguments?: { text?: string } };
}
const tools = [
  {
    name: 'echo',
    description: 'Returns its text.',
    inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  },
];
const answers: Record<string, (m: Message) => unknown> = {
  initialize: (m) => ({
    protocolVersion: m.params?.protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'echo', version: '1' },
  }),
  ping: () => ({}),
  'tools/list': () => ({ tools }),
  'tools/call': (m) => ({ content: [{ type: 'text', text: m.params?.arguments?.text ?? '' }] }),
};
createInterface({ input: process.stdin }).on('line', (line) => {
  const message = JSON.parse(line) as Message;
  if (message.id === undefined) return;
  const answer = answers[message.method ?? ''];
  process.stdout.write(
    `${JSON.stringify({ jsonrpc: '2.0', id: message.id, ...(answer ? { result: answer(message) } : { error: { code: -32601, message: 'no such method' } }) })}\n`,
  );
});
