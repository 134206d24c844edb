import { operatorSubject, operatorVerbs } from '@agentgate/contracts';
import { startPlainRedis, startPostgres } from '@agentgate/testkit';
import { startBroker } from '../../services/credential-broker/test/broker-process.ts';
import { type Neighbours, startNeighbours } from '../../services/credential-broker/test/ground.ts';
import { audience, type OidcServer, startOidcServer } from '../../services/credential-broker/test/oidc-server.ts';
import { peakMiB, quantile } from './figures.ts';

// A broker in its own process, asked as a runner asks, with a real server behind each provider: one lease after the other, made and
// ended (revoked there, tried, refused, in evidence), then a thousand at once ended by prefix.

const rounds = 100;
const many = 1_000;
const agents = 5;

const credentialsOf = (idp: OidcServer, natsUrl: string) => {
  const shop = { schema: 'shop', tables: ['orders'], privileges: ['select'] };
  const lasting = { ttl_s: 600, max_leases: 5_000 };
  return {
    static: { provider: 'static', from: { env: 'BENCH_STATIC' } },
    jwt: { provider: 'jwt', audience: 'bench', ...lasting },
    postgres: { provider: 'postgres', admin: { env: 'BENCH_PG' }, rules: [shop], ...lasting },
    'redis-acl': {
      provider: 'redis-acl',
      admin: { env: 'BENCH_REDIS' },
      rules: [{ keys: ['a:*'], commands: ['get'] }],
      ...lasting,
    },
    'oauth-client-credentials': {
      provider: 'oauth-client-credentials',
      issuer: idp.issuer,
      client: { id: idp.client.id, secret: { env: 'BENCH_OIDC' } },
      resource: audience,
      scope: 'orders:read',
      ...lasting,
    },
    'nats-user': {
      provider: 'nats-user',
      servers: natsUrl,
      account: { env: 'BENCH_ACCOUNT' },
      operator: { env: 'BENCH_OPERATOR' },
      system: { env: 'BENCH_SYSTEM' },
      rules: [{ publish: ['a.>'] }],
      ...lasting,
    },
  };
};

interface Row {
  provider: string;
  mint_p50_ms: number;
  mint_p99_ms: number;
  end_p50_ms: number;
  end_p99_ms: number;
}

const oneByOne = async (near: Neighbours, provider: string): Promise<Row> => {
  const minted: number[] = [];
  const ended: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const ask = near.ask(provider);
    const began = performance.now();
    const answer = await near.lease(ask, 10_000);
    const given = performance.now();
    const { state } = await near.release(answer, ask, 10_000);
    if (state !== 'revoked') throw new Error(`a lease of ${provider} is ${state}`);
    minted.push(given - began);
    ended.push(performance.now() - given);
  }
  return {
    provider,
    mint_p50_ms: quantile(minted, 0.5),
    mint_p99_ms: quantile(minted, 0.99),
    end_p50_ms: quantile(ended, 0.5),
    end_p99_ms: quantile(ended, 0.99),
  };
};

const byPrefix = async (near: Neighbours, provider: string): Promise<number> => {
  const deadline = Date.now() + 500_000;
  for (let i = 0; i < many; i += 20)
    await Promise.all(
      Array.from({ length: 20 }, (_, j) =>
        near.lease(
          near.ask(provider, {
            agent: `bench-${(i + j) % agents}`,
            deadline,
            obligations: { credential: { name: provider } },
          }),
          10_000,
        ),
      ),
    );
  const operator = await near.ground.connect('operator');
  const answer = await operator.ask(
    operatorVerbs['revoke-leases'],
    { v: 1, prefix: 'default', reason: 'a benchmark' },
    { subject: operatorSubject('operator', 'revoke-leases') },
  );
  if (!('revoked' in answer) || answer.revoked !== many) throw new Error(`not all ended: ${JSON.stringify(answer)}`);
  return answer.ms;
};

export const benchLeases = async ({ json }: { json: boolean }): Promise<boolean> => {
  const [db, redis, idp] = await Promise.all([startPostgres(), startPlainRedis(), startOidcServer()]);
  await db.run('CREATE SCHEMA shop; CREATE TABLE shop.orders (id int)');
  const near = await startNeighbours((natsUrl) =>
    JSON.stringify({ v: 1, tenants: { default: {} }, credentials: credentialsOf(idp, natsUrl) }),
  );
  const { seeds } = near.ground.deployment;
  const system = await near.ground.mintUser({
    account: 'SYS',
    user: 'sys',
    pub: ['$SYS.REQ.CLAIMS.UPDATE', '$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP', '$SYS.REQ.ACCOUNT.*.CONNZ'],
    sub: ['_INBOX_sys.>'],
  });
  const broker = await startBroker(near.ground, {
    BENCH_STATIC: 'static-secret-0123456789',
    BENCH_PG: db.url,
    BENCH_REDIS: redis.url,
    BENCH_OIDC: idp.client.secret,
    BENCH_ACCOUNT: seeds.tenant('default'),
    BENCH_OPERATOR: seeds.operator,
    BENCH_SYSTEM: system,
    AGENTGATE_LOG_LEVEL: 'warn',
    NODE_ENV: 'production',
  });
  try {
    const rows: Row[] = [];
    for (const provider of Object.keys(credentialsOf(idp, ''))) rows.push(await oneByOne(near, provider));
    const prefix: Record<string, number> = {};
    for (const provider of ['jwt', 'redis-acl', 'postgres']) prefix[provider] = await byPrefix(near, provider);
    const memory = peakMiB(broker.pid);
    if (json) process.stdout.write(`${JSON.stringify({ rows, prefix_ms: prefix, peak_mib: memory })}\n`);
    else tell(rows, prefix, memory);
    return true;
  } catch (error) {
    process.stderr.write(broker.output().slice(-3_000));
    throw error;
  } finally {
    await broker.kill('SIGTERM');
    await Promise.all([near.stop(), db.stop(), redis.stop(), idp.close()]);
  }
};

const tell = (rows: Row[], prefix: Record<string, number>, memory: number): void => {
  const line = (...cells: string[]) =>
    `${cells.map((cell, i) => (i === 0 ? cell.padEnd(26) : cell.padStart(12))).join('')}\n`;
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  process.stdout.write(line('lease by lease', 'made p50', 'p99', 'ended p50', 'p99'));
  for (const r of rows)
    process.stdout.write(line(r.provider, ms(r.mint_p50_ms), ms(r.mint_p99_ms), ms(r.end_p50_ms), ms(r.end_p99_ms)));
  for (const [provider, took] of Object.entries(prefix))
    process.stdout.write(line(`${many} ${provider} by prefix`, `${Math.round(took)} ms`));
  process.stdout.write(line('peak memory of the broker', `${Math.round(memory)} MiB`));
};
