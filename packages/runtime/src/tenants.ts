import { readFileSync } from 'node:fs';
import { name } from '@agentgate/contracts';
import { z } from 'zod';
import { StartError } from './base-config.ts';

const tenants = z.strictObject({
  v: z.literal(1),
  tenants: z.array(z.strictObject({ tenant: name, account: z.string().regex(/^A[A-Z2-7]{55}$/) })),
});

/** The tenant of each NATS account, by the account's public key, from the file that AGENTGATE_TENANTS names. */
export const readTenants = (file: string): Map<string, string> => {
  const parsed = tenants.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (!parsed.success) throw new StartError(`${file}: ${parsed.error.issues[0]?.message ?? 'invalid'}`);
  return new Map(parsed.data.tenants.map((t) => [t.account, t.tenant]));
};
