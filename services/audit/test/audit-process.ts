import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { logOrigin } from '@agentgate/ground';
import type { Ground } from '@agentgate/testkit';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface AuditProcess {
  /** Everything that it logged, a JSON object a line. */
  log(): string;
  /** Resolves with the exit code, or the signal that ended it. */
  exited: Promise<number | NodeJS.Signals>;
  kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals>;
  /** Freezes it, or lets it go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
}

/** The real service in its own process. Resolves once it is ready, rejects when it ends before; `fileBlocks` bounds its files (512 bytes each). */
export const startAudit = (
  ground: Ground,
  {
    folder = join(ground.dir, 'audit'),
    lockFolder = join(ground.dir, 'lock'),
    fileBlocks,
    httpPort = 0,
  }: { folder?: string; lockFolder?: string; fileBlocks?: number; httpPort?: number } = {},
): Promise<AuditProcess> => {
  const env = {
    PATH: process.env.PATH,
    AGENTGATE_NATS_URL: ground.natsUrl,
    AGENTGATE_NATS_CREDS: ground.credsFile('audit'),
    AGENTGATE_AUDIT_CREDS: ground.credsFile('audit-log'),
    AGENTGATE_KEY: ground.keyFile('audit'),
    AGENTGATE_TRUST: ground.trustFile,
    AGENTGATE_HTTP_PORT: String(httpPort),
    AGENTGATE_STATE_DIR: folder,
    AGENTGATE_WITNESSES: ground.deployment.witnessesFile,
    AGENTGATE_LOG_LOCK_DIR: lockFolder,
    AGENTGATE_LOG_KEY: ground.deployment.keys.logKeyFile,
    AGENTGATE_LOG_ORIGIN: logOrigin,
    AGENTGATE_KEY_EVENTS: ground.deployment.keys.keyEventsFile,
  };
  const limit = fileBlocks === undefined ? '' : `ulimit -f ${fileBlocks}; `;
  const child: ChildProcess = spawn('/bin/sh', ['-c', `${limit}exec "$0" "$1"`, process.execPath, main], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const end = () => child.kill('SIGKILL');
  process.on('exit', end);
  let text = '';
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('exit', (code, signal) => {
      process.off('exit', end);
      resolve(signal ?? code ?? -1);
    });
  });
  const signal = (name: NodeJS.Signals) => void child.kill(name);
  const kill = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return exited;
  };
  return new Promise((resolve, reject) => {
    const hear = (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('"msg":"ready"')) resolve({ log: () => text, exited, kill, signal });
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    exited.then((code) => reject(new Error(`audit ended with ${code}: ${text}`))).catch(reject);
  });
};
