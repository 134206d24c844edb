// An MCP server (stdio) of one database, reached with the URL in its environment. `leak` tells its environment to everybody.
import { createInterface } from 'node:readline';
import pg from 'pg';

const url = process.env.DATABASE_URL;
const pool = url === undefined ? undefined : new pg.Pool({ connectionString: url, max: 1 });
pool?.on('error', () => {});

const sql = { type: 'object', properties: { sql: { type: 'string' } }, required: ['sql'], additionalProperties: false };
const tools = [
  { name: 'query', description: 'Runs SQL and returns the rows.', inputSchema: sql },
  { name: 'leak', description: 'Tells what it was given.', inputSchema: { type: 'object' } },
];

const text = (value: string, isError = false) => ({ content: [{ type: 'text', text: value }], isError });
const call = async (name: string, args: { sql?: string }) => {
  if (!pool || url === undefined) return text('no database', true);
  if (name === 'leak')
    return text(`${url} ${Buffer.from(url).toString('base64')} ${encodeURIComponent(new URL(url).password)}`);
  try {
    return text(JSON.stringify((await pool.query(args.sql ?? '')).rows));
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string };
    return text(`${code} ${message}`, true);
  }
};

interface Message {
  id?: number;
  method: string;
  params?: { protocolVersion?: string; name?: string; arguments?: object };
}
const answer = async ({ method, params = {} }: Message): Promise<object> => {
  switch (method) {
    case 'initialize':
      return {
        result: {
          protocolVersion: params.protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: 'db', version: '1.0.0' },
        },
      };
    case 'tools/list':
      return { result: { tools } };
    case 'tools/call':
      return { result: await call(params.name ?? '', params.arguments ?? {}) };
    default:
      return { error: { code: -32601, message: 'unknown method' } };
  }
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const message = JSON.parse(line) as Message;
  if (message.id === undefined) return;
  const { id } = message;
  answer(message).then(
    (said) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...said })}\n`),
    () => process.exit(1),
  );
});
