import { statfsSync } from 'node:fs';

/** Sees that the disk of nats-server was full, and has it start again once there is room. */
export interface StoreWatch {
  /** A line of nats-server's log. */
  hear(line: string): void;
  close(): void;
}

export interface StoreWatchOptions {
  /** Where streams lie. */
  folder: string;
  restart: () => void;
  /** Bytes that an ordinary user can still write there. */
  free?: (folder: string) => number;
  everyMs?: number;
}

/** A stream whose write failed takes nothing more, whatever becomes of the disk, until nats-server reads it anew at its start. */
const failedWrite = /\[ERR\] Filestore \[.+\] Critical write error/;
/** Less than this would be full again at once. */
const roomBytes = 64 * 1024 * 1024;

const freeBytes = (folder: string): number => {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return 0;
  }
};

export const createStoreWatch = ({
  folder,
  restart,
  free = freeBytes,
  everyMs = 2_000,
}: StoreWatchOptions): StoreWatch => {
  let timer: NodeJS.Timeout | undefined;
  const close = () => {
    clearInterval(timer);
    timer = undefined;
  };
  const look = () => {
    if (free(folder) < roomBytes) return;
    close();
    restart();
  };
  return {
    hear: (line) => {
      if (failedWrite.test(line)) timer ??= setInterval(look, everyMs);
    },
    close,
  };
};
