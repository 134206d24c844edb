import { connect } from '@agentgate/client';

const [
  servers = 'nats://127.0.0.1:4222',
  creds = '.agentgate/creds/agent-demo.creds',
  tool = 'filesystem/list_directory',
  args = '{"path":"."}',
] = process.argv.slice(2);
const agent = await connect({ servers, creds });
const session = await agent.openSession({ purpose: 'try the gate' });
console.log((await session.tools()).map((t) => t.name).join('\n'));
console.log(
  JSON.stringify(await session.call(tool, JSON.parse(args), { signal: AbortSignal.timeout(10_000) }), null, 2),
);
await agent.close();
