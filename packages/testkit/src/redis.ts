import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { binaryFolders, findBinary, redisReady, redisServer } from '@agentgate/ground';
import { freePort } from './free-port.ts';
import { createProgram, type Program } from './program.ts';

/** A Redis of a tool's, that is: not one that AgentGate lays out, but one that a test is the administrator of. */
export interface PlainRedis {
  program: Program;
  port: number;
  /** The URL of the administrator. */
  url: string;
  stop(): Promise<void>;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const password = 'test-administrator-0123456789';

/** `args`: more of the server's own options. */
export const startPlainRedis = async (args: readonly string[] = []): Promise<PlainRedis> => {
  const dir = mkdtempSync(join(tmpdir(), 'agentgate-redis-'));
  const removeDir = () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  process.on('exit', removeDir);
  const port = await freePort();
  const url = `redis://default:${password}@127.0.0.1:${port}`;
  const program = createProgram({
    binary: findBinary(redisServer, binaryFolders({ root, bin: process.env.AGENTGATE_BIN, path: process.env.PATH })),
    args: [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      dir,
      '--save',
      '',
      '--requirepass',
      password,
      ...args,
    ],
    logFile: join(dir, 'redis.log'),
    ready: (gone) => redisReady(url, { timeoutMs: 15_000, gone }),
  });
  await program.start();
  return {
    program,
    port,
    url,
    stop: async () => {
      await program.stop();
      removeDir();
      process.off('exit', removeDir);
    },
  };
};
