import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { AgentGateError, type CredentialOf } from '@agentgate/contracts';
import pg from 'pg';
import { filled, type LeaseOrder, type Provider, rulesOf, unavailable } from '../provider.ts';
import type { LeaseSecrets } from '../secrets.ts';
import { bareCause } from './bare-cause.ts';
import type { ReadSecret } from './secret-source.ts';

interface PostgresOptions {
  credential: string;
  config: CredentialOf<'postgres'>;
  read: ReadSecret;
  secrets: LeaseSecrets;
}

const connectMs = 2_000;
const statementMs = 4_000;
const idleMs = 30_000;
const maxConnections = 8;
/** PostgreSQL cuts longer names off without a word (NAMEDATALEN - 1). */
const maxNameBytes = 63;
/** "invalid_password", "invalid_authorization_specification": who it is, and that is all, was refused. */
const refusedCodes = ['28P01', '28000'];

const ident = pg.escapeIdentifier;

/**
 * A role a lease, with the privileges of the rules that its scope covers. Its end: it may not log in any more, its sessions are
 * terminated (a session outlives `VALID UNTIL`), what was granted to it is dropped, and so is the role.
 */
export const createPostgresProvider = (opts: PostgresOptions): Provider => {
  const { credential, config, secrets } = opts;
  const admin = createAdmin(opts);
  const roleOf = (permit: string): string => {
    const role = secrets.nameOf(permit);
    if (Buffer.byteLength(role) > maxNameBytes) throw unavailable(credential, 'would have a role with too long a name');
    return role;
  };

  return {
    kind: 'postgres',
    mint: async (order) => {
      const { permit, issuedAt, expiresAt } = order;
      const role = roleOf(permit);
      const password = secrets.password(permit);
      const grants = grantsOf(config, order, role);
      return admin.work('was not made', async (client) => {
        // By the database's own clock: ours may be another.
        const until = await timeAt(client, expiresAt - issuedAt);
        await alone(client, async () => {
          await client.query(
            `CREATE ROLE ${ident(role)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS ` +
              `CONNECTION LIMIT ${config.connections} PASSWORD ${pg.escapeLiteral(verifierOf(password))} ` +
              `VALID UNTIL ${pg.escapeLiteral(until)}`,
          );
          // So that an administrator who is no superuser may end its sessions and drop what it owns.
          await client.query(`GRANT ${ident(role)} TO CURRENT_USER`);
          for (const grant of grants) await client.query(grant);
        });
        const { host, port, database, url } = whereTo(client, role, password);
        return {
          parts: { secret: url, url, host, port, database, user: role, password },
          hidden: ['secret', 'url', 'password'],
        };
      });
    },
    renew: (order) =>
      admin.work('was not renewed', async (client) => {
        const until = await timeAt(client, order.expiresAt - order.issuedAt);
        await client.query(`ALTER ROLE ${ident(roleOf(order.permit))} VALID UNTIL ${pg.escapeLiteral(until)}`);
        return undefined;
      }),
    revoke: ({ permit }) =>
      admin.work('was not ended', async (client) => {
        const role = roleOf(permit);
        if (!(await exists(client, role))) return;
        await client.query(`ALTER ROLE ${ident(role)} NOLOGIN`);
        await endSessions(client, role);
        for (const database of await otherDatabases(client, role)) await dropOwnedIn(client, database, role);
        await alone(client, async () => {
          // Another broker may have been here first.
          if (!(await exists(client, role))) return;
          await client.query(`DROP OWNED BY ${ident(role)}`);
          await client.query(`DROP ROLE ${ident(role)}`);
        });
      }),
    probe: ({ permit }) =>
      admin.work('could not be tried', async (client) => {
        const role = roleOf(permit);
        const login = await tryLogin(client, role, secrets.password(permit));
        const sessions = await sessionsOf(client, role);
        // A role may change its own password: that the right one is refused is not enough.
        const isThere = await exists(client, role);
        const detail = `login ${login}, ${sessions} sessions, ${isThere ? 'the role is there' : 'no role'}`;
        return { state: login === 'refused' && sessions === 0 && !isThere ? 'refused' : 'alive', detail };
      }),
    list: () =>
      admin.work('was not listed', async (client) => {
        const { rows } = await client.query<{ rolname: string }>('SELECT rolname FROM pg_roles');
        return { permits: rows.flatMap(({ rolname }) => secrets.permitOf(rolname) ?? []), complete: true };
      }),
    close: admin.close,
  };
};

type Client = pg.PoolClient;

/** Any number: brokers that grant on the same objects at the same time would fail each other's statements ("tuple concurrently updated"). */
const lockKey = 0x6167_6c73;

/** One transaction, and one at a time in this database, whichever broker asks. */
const alone = async (client: Client, work: () => Promise<void>): Promise<void> => {
  await client.query('BEGIN');
  try {
    await client.query('SELECT pg_advisory_xact_lock($1)', [lockKey]);
    await work();
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
};

/** Connections as the administrator; its URL is read again for each new pool, so a failed one is thrown away. */
const createAdmin = ({ credential, config, read }: PostgresOptions) => {
  let pool: { url: string; pool: pg.Pool } | undefined;
  const poolOf = (url: string): pg.Pool => {
    if (pool?.url === url) return pool.pool;
    void pool?.pool.end().catch(() => {});
    const fresh = new pg.Pool({
      connectionString: url,
      max: maxConnections,
      connectionTimeoutMillis: connectMs,
      idleTimeoutMillis: idleMs,
      query_timeout: statementMs,
      application_name: 'agentgate-credential-broker',
      allowExitOnIdle: true,
    });
    // A connection that breaks while it is idle is taken out of the pool by itself.
    fresh.on('error', () => {});
    // One that breaks in a work between two of its questions has nobody who hears of it: the next question does.
    fresh.on('connect', (client) => client.on('error', () => {}));
    pool = { url, pool: fresh };
    return fresh;
  };
  return {
    work: async <T>(failure: string, work: (client: Client) => Promise<T>): Promise<T> => {
      let client: Client | undefined;
      try {
        client = await poolOf(await read(config.admin)).connect();
        const done = await work(client);
        client.release();
        return done;
      } catch (error) {
        // In whatever state it is left: it is not used again.
        client?.release(true);
        if (error instanceof AgentGateError) throw error;
        throw unavailable(credential, `${failure}: ${reasonOf(error)}`, bareCause(error));
      }
    },
    close: async () => {
      await pool?.pool.end().catch(() => {});
    },
  };
};

/** PostgreSQL's errors quote the statement: only their class goes on (Appendix A, "PostgreSQL Error Codes"). */
const reasonOf = (error: unknown): string => {
  if (error instanceof pg.DatabaseError) return `PostgreSQL refused (${error.code ?? 'no code'})`;
  return 'PostgreSQL does not answer';
};

const timeAt = async (client: Client, inMs: number): Promise<string> => {
  const { rows } = await client.query<{ at: string }>(
    "SELECT to_char((clock_timestamp() + $1 * interval '1 millisecond') AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS') || '+00' AS at",
    [Math.max(0, Math.floor(inMs))],
  );
  return rows[0]?.at ?? '-infinity';
};

const grantsOf = (config: CredentialOf<'postgres'>, order: LeaseOrder, role: string): string[] => {
  const rules = rulesOf(config.rules, order.scope);
  if (rules.length === 0) throw unavailable(order.credential, 'has no rule for this scope');
  return rules.flatMap(({ schema, tables, columns, privileges }) => {
    const name = (template: string) => ident(filled(template, order));
    const only = columns ? ` (${columns.map(name).join(', ')})` : '';
    const what = privileges.map((privilege) => `${privilege.toUpperCase()}${only}`).join(', ');
    return [
      `GRANT USAGE ON SCHEMA ${name(schema)} TO ${ident(role)}`,
      ...tables.map((table) => `GRANT ${what} ON TABLE ${name(schema)}.${name(table)} TO ${ident(role)}`),
    ];
  });
};

const exists = async (client: Client, role: string): Promise<boolean> =>
  (await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role])).rowCount === 1;

const sessionsOf = async (client: Client, role: string): Promise<number> =>
  (await client.query('SELECT 1 FROM pg_stat_activity WHERE usename = $1', [role])).rowCount ?? 0;

/** Whoever may connect may own something in any database (a large object, say), which would keep the role from being dropped. */
const otherDatabases = async (client: Client, role: string): Promise<string[]> => {
  const { rows } = await client.query<{ datname: string }>(
    `SELECT DISTINCT d.datname FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid = s.refobjid
      WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = $1 AND d.datname <> current_database()`,
    [role],
  );
  return rows.map(({ datname }) => datname);
};
const dropOwnedIn = async (admin: Client, database: string, role: string): Promise<void> => {
  const { host, port, ssl, user, password } = admin as unknown as ConnectionOf;
  const client = new pg.Client({
    host,
    port,
    database,
    user,
    password,
    ssl: ssl ?? false,
    connectionTimeoutMillis: connectMs,
    query_timeout: statementMs,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query(`DROP OWNED BY ${ident(role)}`);
  } finally {
    await client.end().catch(() => {});
  }
};

const endTries = 20;
const endPauseMs = 25;
/** A session that was just logging in shows a moment later. */
const endSessions = async (client: Client, role: string): Promise<void> => {
  for (let i = 0; i < endTries; i++) {
    const { rowCount } = await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1',
      [role],
    );
    if (rowCount === 0) return;
    await new Promise((resolve) => setTimeout(resolve, endPauseMs));
  }
  throw new Error('its sessions do not end');
};

const tryLogin = async (admin: Client, user: string, password: string): Promise<'taken' | 'refused'> => {
  const { host, port, database, ssl } = admin as unknown as ConnectionOf;
  const client = new pg.Client({
    host,
    port,
    database,
    user,
    password,
    ssl: ssl ?? false,
    connectionTimeoutMillis: connectMs,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return 'taken';
  } catch (error) {
    if (error instanceof pg.DatabaseError && refusedCodes.includes(error.code ?? '')) return 'refused';
    throw error;
  } finally {
    await client.end().catch(() => {});
  }
};

/** What a client of `pg` knows of its connection; its types do not say all of it. */
interface ConnectionOf {
  host: string;
  port: number;
  database: string;
  user: string;
  /** As the pool was told it; absent where libpq's other ways are used. */
  password?: string;
  ssl?: pg.ClientConfig['ssl'];
}

const whereTo = (client: Client, user: string, password: string) => {
  const { host, port, database, ssl } = client as unknown as ConnectionOf;
  const url = new URL('postgresql://host');
  if (host.startsWith('/')) url.searchParams.set('host', host);
  else url.hostname = host.includes(':') ? `[${host}]` : host;
  url.port = String(port);
  url.username = user;
  url.password = password;
  url.pathname = `/${database}`;
  if (ssl) url.searchParams.set('sslmode', 'require');
  return { host, port: String(port), database, url: url.href };
};

const iterations = 4_096;
/** What PostgreSQL stores of a password (RFC 5803), worked out here: the password itself is in no statement, so in none of its logs. */
const verifierOf = (password: string): string => {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(hmac('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${hmac('Server Key').toString('base64')}`;
};
