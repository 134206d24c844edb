import { connectBus } from '@agentgate/bus';
import { inboxOf } from '@agentgate/contracts';
import { z } from 'zod';
import { mintOneShot, mintTenant } from './deployment.ts';
import { GroundError } from './error.ts';
import type { Roster } from './roster.ts';
import type { Seeds } from './seeds.ts';

const user = 'claims';
const subject = '$SYS.REQ.CLAIMS.UPDATE';
const reply = z.object({
  data: z.object({ code: z.int() }).optional(),
  error: z.object({ description: z.string() }).optional(),
});

/** Gives a running nats-server the tenant's account JWT as the roster has it now; users that it revokes are disconnected at once. */
export const pushTenant = async ({
  natsUrl,
  seeds,
  roster,
  tenant,
}: {
  natsUrl: string;
  seeds: Seeds;
  roster: Roster;
  tenant: string;
}): Promise<void> => {
  const creds = await mintOneShot(seeds, 'SYS', user, { pub: [subject], sub: [`${inboxOf(user)}.>`] });
  const bus = await connectBus({ servers: natsUrl, creds, user, instance: user });
  try {
    const bytes = await bus.requestRaw(subject, await mintTenant(seeds, tenant, roster), {
      of: 'nats-server',
      timeoutMs: 5_000,
    });
    const { data, error } = reply.parse(JSON.parse(new TextDecoder().decode(bytes)));
    if (data?.code !== 200)
      throw new GroundError(
        `nats-server did not take the account of tenant ${tenant}: ${error?.description ?? 'no reason given'}`,
      );
  } finally {
    await bus.close();
  }
};
