import type { StackStatus } from '@agentgate/contracts';
import type { CliContext } from '../context.ts';

/** What a person needs to know once the stack is up. */
export const summary = (
  status: StackStatus,
  opts: { seconds: number; example: string | undefined; homeFlag: string; paint: CliContext['paint'] },
): string => {
  const { paint } = opts;
  const row = (what: string, where: string) => `  ${paint.dim(what.padEnd(12))}${where}`;
  const command = (text: string) => `  ${paint.cyan(`npx agentgate ${text}${opts.homeFlag}`)}`;
  return [
    '',
    paint.bold(paint.green(`AgentGate is ready (${opts.seconds.toFixed(1)} s).`)),
    row('NATS', status.nats),
    row('WebSocket', status.websocket),
    ...(status.mcp === undefined ? [] : [row('MCP', status.mcp)]),
    row('credentials', status.creds),
    row('log key', status.log.vkey),
    ...(status.witness ? [row('witness', status.witness.vkey)] : []),
    ...Object.entries(status.metrics).map(([service, url], i) =>
      row(i === 0 ? 'metrics' : '', `${url}  ${paint.dim(service)}`),
    ),
    '',
    'Try, in a second terminal:',
    command('demo'),
    command(opts.example ?? 'status'),
    command('evidence tail'),
    '',
    paint.dim('Ctrl-C stops everything.'),
    '',
  ].join('\n');
};
