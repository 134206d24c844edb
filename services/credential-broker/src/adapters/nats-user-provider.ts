import { type Bus, connectBus } from '@agentgate/bus';
import { AgentGateError, type CredentialOf, inboxOf, type Permissions } from '@agentgate/contracts';
import {
  isRevokedIn,
  mintUserWithSeed,
  nameInCreds,
  nameInJwt,
  publicKeyOf,
  type Revocation,
  revokeUsers,
  userSeedOf,
} from '@agentgate/ground/jwt';
import { z } from 'zod';
import { filled, type LeaseOrder, type Provider, rulesOf, unavailable } from '../provider.ts';
import type { LeaseSecrets } from '../secrets.ts';
import { bareCause } from './bare-cause.ts';
import type { ReadSecret } from './secret-source.ts';

interface NatsUserOptions {
  credential: string;
  config: CredentialOf<'nats-user'>;
  read: ReadSecret;
  secrets: LeaseSecrets;
  now: () => number;
}

const requestMs = 2_000;
/** Another broker, or an administrator, may write the account in between. */
const maxTries = 8;
/** How much longer than its lease a user stays revoked: clocks differ. */
const clockS = 600;
const settleMs = 25;

const pushed = z.object({ data: z.object({ code: z.literal(200) }) });
const connections = z.object({
  data: z.object({
    connections: z.array(z.object({ authorized_user: z.string().optional(), jwt: z.string().optional() })),
  }),
});

/**
 * A user JWT a lease, in an account of an operator-mode NATS. It ends by its revocation in the account's claims, signed by the operator:
 * the server cuts the user's connections and takes no JWT of that key any more. Many ends share one update of the claims.
 */
export const createNatsUserProvider = (opts: NatsUserOptions): Provider => {
  const { credential, config, read, secrets, now } = opts;
  const seedOf = (permit: string) => userSeedOf(secrets.bytes('nats-user', permit));
  const keyOf = (permit: string) => publicKeyOf(seedOf(permit));

  /** A key pair costs milliseconds of pure JavaScript: it is worked out once a seed. */
  let known: { seed: string; id: string } | undefined;
  const account = async () => {
    const seed = await read(config.account);
    if (known?.seed !== seed) known = { seed, id: config.account_id ?? publicKeyOf(seed) };
    return known;
  };
  const minted = async (order: Pick<LeaseOrder, 'permit' | 'expiresAt'>, permissions: Permissions) => {
    const { seed: accountSeed, id } = await account();
    const seed = seedOf(order.permit);
    const exp = Math.floor(order.expiresAt / 1_000);
    const user = { name: secrets.nameOf(order.permit), seed, accountSeed, account: id, permissions, exp };
    return { seed, account: id, ...(await mintUserWithSeed(user)) };
  };
  const system = createSystem(opts);
  const attempt = async <T>(failure: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof AgentGateError && error.code === 'CREDENTIAL_UNAVAILABLE') throw error;
      // Without the cause's words: an nkey library may quote the seed that it cannot read.
      throw unavailable(credential, failure, bareCause(error));
    }
  };
  const mint: Provider['mint'] = (order) =>
    attempt('was not made', async () => {
      const { creds, jwt, seed } = await minted(order, permissionsOf(config, order, secrets.nameOf(order.permit)));
      const parts = { secret: creds, creds, servers: config.servers, jwt, seed };
      return { parts, hidden: ['secret', 'creds', 'jwt', 'seed'] };
    });

  /** What this broker ended and what is not over by itself yet: each update puts it in again where another one's took it out. */
  const ended = new Map<string, number>();
  const revokeAll = async (added: readonly Revocation[]) => {
    const at = Math.floor(now() / 1_000);
    for (const [user, exp] of ended) if (exp <= at) ended.delete(user);
    for (const { user, exp } of added) ended.set(user, exp);
    const users = [...ended].map(([user, exp]) => ({ user, exp }));
    const [{ id }, operatorSeed] = await Promise.all([account(), read(config.operator)]);
    await system.with(async (bus) => {
      for (let i = 0; i < maxTries; i++) {
        const accountJwt = await lookUp(bus, id);
        if (isRevokedIn(accountJwt, users)) return;
        const mark = `agentgate-${secrets.deployment}`;
        const next = await revokeUsers({ accountJwt, operatorSeed, mark, users, now: at });
        pushed.parse(JSON.parse(await ask(bus, '$SYS.REQ.CLAIMS.UPDATE', next)));
        // NATS has no compare-and-set of claims: whoever read them before this update may be about to write over it.
        await new Promise((resolve) => setTimeout(resolve, settleMs));
      }
      if (!isRevokedIn(await lookUp(bus, id), users)) throw new Error('somebody else goes on changing the account');
    });
  };
  const together = createTogether(revokeAll);

  return {
    kind: 'nats-user',
    mint,
    renew: (order) => mint(order),
    revoke: ({ permit, expiresAt }) =>
      attempt('was not ended', () =>
        together({ user: keyOf(permit), exp: Math.ceil(Math.max(expiresAt, now()) / 1_000) + clockS }),
      ),
    probe: ({ permit }) =>
      attempt('could not be tried', async () => {
        const { creds, user, account: id } = await minted({ permit, expiresAt: now() + 60_000 }, { pub: [], sub: [] });
        const login = await tryLogin(config.servers, secrets.nameOf(permit), creds);
        const left = (await system.with((bus) => connectionsOf(bus, id))).filter(
          ({ authorized_user }) => authorized_user === user,
        ).length;
        const state = login === 'refused' && left === 0 ? 'refused' : 'alive';
        return { state, detail: `login ${login}, ${left} connections` };
      }),
    list: () =>
      attempt('was not listed', async () => {
        const { id } = await account();
        await together();
        const found = await system.with((bus) => connectionsOf(bus, id));
        // Users that are not connected are known to nobody but who holds them.
        return {
          permits: found.flatMap(({ jwt = '' }) => secrets.permitOf(nameInJwt(jwt) ?? '') ?? []),
          complete: false,
        };
      }),
    close: system.close,
  };
};

/** The rules' subjects, and the user's own inbox, without which it could hear no answer. */
const permissionsOf = ({ rules }: CredentialOf<'nats-user'>, order: LeaseOrder, user: string): Permissions => {
  const covered = rulesOf(rules, order.scope);
  if (covered.length === 0) throw unavailable(order.credential, 'has no rule for this scope');
  const of = (subjects: string[]) => subjects.map((subject) => filled(subject, order));
  return {
    pub: covered.flatMap(({ publish }) => of(publish)),
    sub: [...covered.flatMap(({ subscribe }) => of(subscribe)), `${inboxOf(user)}.>`],
  };
};

const ask = async (bus: Bus, subject: string, body: string): Promise<string> =>
  new TextDecoder().decode(await bus.requestRaw(subject, body, { of: 'nats-server', timeoutMs: requestMs }));

const lookUp = (bus: Bus, account: string): Promise<string> =>
  ask(bus, `$SYS.REQ.ACCOUNT.${account}.CLAIMS.LOOKUP`, '');

const connectionsOf = async (bus: Bus, account: string) =>
  connections.parse(
    JSON.parse(await ask(bus, `$SYS.REQ.ACCOUNT.${account}.CONNZ`, JSON.stringify({ auth: true, limit: 10_000 }))),
  ).data.connections;

/** One connection as a user of the system account, made anew when its credentials were changed or it broke. */
const createSystem = ({ config, read }: NatsUserOptions) => {
  let current: { creds: string; bus: Promise<Bus> } | undefined;
  const end = () => {
    current?.bus.then((bus) => bus.close()).catch(() => {});
    current = undefined;
  };
  const open = async (): Promise<Bus> => {
    // Readers of credentials want the line end that a secret is read without.
    const creds = `${await read(config.system)}\n`;
    if (current?.creds !== creds) {
      end();
      const user = await nameInCreds(creds);
      current = {
        creds,
        bus: connectBus({ servers: config.servers, creds, user, instance: 'agentgate-broker', timeoutMs: requestMs }),
      };
    }
    const { bus } = current;
    try {
      return await bus;
    } catch (error) {
      current = undefined;
      throw error;
    }
  };
  return {
    with: async <T>(work: (bus: Bus) => Promise<T>): Promise<T> => {
      const bus = await open();
      if (bus.connected()) return work(bus);
      end();
      return work(await open());
    },
    close: async () => end(),
  };
};

/** What comes while one update is under way goes together in the next. */
const createTogether = (update: (users: readonly Revocation[]) => Promise<void>) => {
  let waiting: { user: Revocation | undefined; done: () => void; failed: (error: unknown) => void }[] = [];
  let running = false;
  const run = async () => {
    running = true;
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await update(batch.flatMap(({ user }) => user ?? []));
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    running = false;
  };
  return (user?: Revocation): Promise<void> =>
    new Promise((done, failed) => {
      waiting.push({ user, done, failed });
      if (!running) void run();
    });
};

const tryLogin = async (servers: string, user: string, creds: string): Promise<'taken' | 'refused'> => {
  try {
    const bus = await connectBus({ servers, creds, user, instance: 'agentgate-probe', timeoutMs: requestMs });
    await bus.close();
    return 'taken';
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (cause instanceof Error && /authorization violation|user authentication (revoked|expired)/i.test(cause.message))
      return 'refused';
    throw error;
  }
};
