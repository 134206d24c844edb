import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { realFileSystem } from './adapters/file-system.ts';
import { createLogFolder } from './adapters/log-folder.ts';
import { type Lease, openLockDatabase } from './adapters/log-lock.ts';
import { openSqliteLog, type SqliteLog } from './adapters/sqlite-log.ts';
import type { AuditConfig } from './config.ts';
import { recoverLog } from './recover-log.ts';
import { createSequencer, type LogFolder, type Sequencer, type SequencerOptions } from './sequencer.ts';

export interface OpenLog {
  store: SqliteLog;
  folder: LogFolder;
  sequencer: Sequencer;
  /** Lets the next one go on at once. */
  close(): Promise<void>;
}

const renewMs = 1_000;
const retryMs = 250;

/** Waits until this process is the one sequencer, finds where the log stands, and publishes its last checkpoint. */
export const openLog = async (
  { folder: home, lockFolder, origin, logKey: key }: AuditConfig,
  {
    now,
    onWait,
    ...options
  }: Pick<SequencerOptions, 'cosign' | 'onPublished' | 'onTrouble' | 'onFailure'> & {
    now: () => number;
    /** Another one sequences. */
    onWait: () => void;
  },
): Promise<OpenLog> => {
  const lock = openLockDatabase(lockFolder, { origin, now });
  const lease = await waitForLease(lock.take, onWait);
  const renewing = setInterval(() => {
    try {
      lease.renew();
    } catch (error) {
      options.onFailure(error, 'the lease of the log could not be renewed');
    }
  }, renewMs);
  const store = openSqliteLog(home);
  lease.whileHeld(() => store.fence(lease.token));
  const folder = createLogFolder({ log: join(home, 'log'), staging: join(home, 'staging'), files: realFileSystem });
  await folder.open();
  const state = await recoverLog({ origin, key, folder, lock: lease, entries: store });
  const sequencer = createSequencer(state, { origin, key, folder, lock: lease, ...options });
  await sequencer.heartbeat();
  return {
    store,
    folder,
    sequencer,
    close: async () => {
      await sequencer.close();
      clearInterval(renewing);
      store.close();
      lease.release();
      lock.close();
    },
  };
};

const waitForLease = async (take: () => Lease | undefined, onWait: () => void): Promise<Lease> => {
  for (let waited = false; ; waited = true) {
    const lease = take();
    if (lease) return lease;
    if (!waited) onWait();
    await sleep(retryMs);
  }
};
