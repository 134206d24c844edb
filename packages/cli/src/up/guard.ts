import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * A shell that outlives this process for a moment: it waits on a pipe, and when the pipe breaks without a word (SIGKILL, a crash, out of
 * memory) it takes status.json away and ends what this process had started. Returns how to send it home.
 */
export const startGuard = (home: string): (() => void) => {
  const script = 'read word && exit 0; rm -f "$1"; exec "$2" "$3" "$4"';
  const sweep = fileURLToPath(new URL('./sweep.ts', import.meta.url));
  const guard = spawn(
    '/bin/sh',
    ['-c', script, 'agentgate-guard', join(home, 'status.json'), process.execPath, sweep, home],
    { stdio: ['pipe', 'ignore', 'ignore'], detached: true },
  );
  // Without a guard the next start ends what is left; that is no reason not to start.
  guard.on('error', () => {});
  guard.stdin.on('error', () => {});
  guard.unref();
  return () => guard.stdin.end('bye\n');
};
