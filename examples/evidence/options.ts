import { parseArgs } from 'node:util';
import type { ConsumeOptions } from './consume.ts';

/** What all three are told on the command line; `to` is where the events go. */
export const readOptions = (what: string): Omit<ConsumeOptions, 'deliver'> & { to: string } => {
  const home = '.agentgate';
  const { values } = parseArgs({
    options: {
      to: { type: 'string' },
      servers: { type: 'string', default: 'nats://127.0.0.1:4222' },
      creds: { type: 'string', default: `${home}/creds/auditor.creds` },
      trust: { type: 'string', default: `${home}/keys/trust.json` },
      vkey: { type: 'string' },
      witness: { type: 'string', multiple: true, default: [] },
      position: { type: 'string', default: 'evidence-position.json' },
    },
  });
  const { to, vkey, witness: witnesses, ...rest } = values;
  if (to === undefined || vkey === undefined) {
    console.error(`--to ${what} and --vkey (log.vkey of status.json) are needed`);
    process.exit(2);
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());
  return { ...rest, to, vkey, witnesses, signal: stop.signal };
};
