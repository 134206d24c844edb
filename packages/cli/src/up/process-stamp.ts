import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/**
 * Tells one process from a later one of the same pid: when it started, and in which boot. Undefined where no such process runs.
 * Without it a stale pid file could make us end somebody else's program.
 */
export const processStamp = (pid: number): string | undefined => {
  try {
    if (!existsSync('/proc/self/stat'))
      return (
        execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', timeout: 2_000 }).trim() ||
        undefined
      );
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything; state and start time are fields 3 and 22 (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${fields[19]}`;
  } catch {
    return undefined;
  }
};

export const isAlive = (of: { pid: number; stamp: string }): boolean => processStamp(of.pid) === of.stamp;
