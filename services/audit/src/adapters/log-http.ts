import { parseTilePath, TILE_WIDTH } from '@agentgate/evidence';
import type { HttpAnswer } from '@agentgate/runtime';
import type { LogFolder } from '../sequencer.ts';
import { isErrno } from './file-system.ts';

const forEver = 'public, max-age=31536000, immutable';
/** Its bytes never change either, but it may go once the full one is there. */
const forAWhile = 'public, max-age=60';

/** How a path of the log may be kept, or undefined where no log has such a path: what is not one never reaches the disk. */
const cacheOf = (path: string): string | undefined => {
  if (path === 'checkpoint') return 'no-store';
  try {
    return parseTilePath(path).width === TILE_WIDTH ? forEver : forAWhile;
  } catch {
    return undefined;
  }
};

/** Serves the published folder, read-only (C2SP tlog-tiles). */
export const createLogHttp =
  (folder: Pick<LogFolder, 'read'>) =>
  async (path: string): Promise<HttpAnswer | undefined> => {
    const cache = cacheOf(path);
    if (cache === undefined) return undefined;
    const type = path === 'checkpoint' ? 'text/plain; charset=utf-8' : 'application/octet-stream';
    try {
      return { status: 200, type, body: await folder.read(path), cache };
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  };
