import { readFileSync } from 'node:fs';
import { connectBus } from '@agentgate/bus';
import { request } from '@agentgate/contracts';
import { z } from 'zod';

// The bare NATS responder that every figure is compared with: a process of its own. Arguments: url, creds file, user, subject.
const [, , url = '', creds = '', user = '', subject = ''] = process.argv;
const bus = await connectBus({
  servers: url,
  creds: readFileSync(creds, 'utf8'),
  user,
  instance: `bare-${process.pid}`,
});
const answer = { v: 1, status: 'ok', padding: 'x'.repeat(400) };
bus.serveRaw(
  request(subject, { ask: z.unknown(), answer: z.unknown(), by: ['ingress'], of: 'policy', timeoutMs: 1_000 }),
  async () => answer,
);
await bus.flush();
process.stdout.write('ready\n');
