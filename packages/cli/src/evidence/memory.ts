import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseCheckpoint, parseNote } from '@agentgate/evidence';
import { replacePrivate } from '@agentgate/ground';
import { z } from 'zod';
import { CliError } from '../context.ts';

/** What a verifier accepted last of each log, by its origin: signed notes, so that the file itself need not be believed. */
const memoryFile = z.strictObject({
  v: z.literal(1),
  checkpoints: z.record(z.string().max(512), z.string().max(262_144)),
});
type MemoryFile = z.infer<typeof memoryFile>;

export interface Memory {
  recall(origin: string): string | undefined;
  /** Durable once it returns. What is known of other logs stays, and so does what another verifier found of a longer one. */
  remember(origin: string, note: string): void;
}

/** Throws CliError for a file that is there and not of this form: to go on without it would let a roll-back pass. */
export const openMemory = (file: string): Memory => {
  const path = resolve(file);
  const load = (): MemoryFile => {
    if (!existsSync(path)) return { v: 1, checkpoints: {} };
    try {
      return memoryFile.parse(JSON.parse(readFileSync(path, 'utf8')));
    } catch (cause) {
      throw new CliError(`${path} does not hold what a verifier remembers`, { cause });
    }
  };
  return {
    recall: (origin) => {
      const { checkpoints } = load();
      return Object.hasOwn(checkpoints, origin) ? checkpoints[origin] : undefined;
    },
    remember: (origin, note) => {
      const { checkpoints } = load();
      const known = Object.hasOwn(checkpoints, origin) ? checkpoints[origin] : undefined;
      if (known !== undefined && sizeOf(known) > sizeOf(note)) return;
      const next = { v: 1, checkpoints: { ...checkpoints, [origin]: note } };
      try {
        replacePrivate(path, `${JSON.stringify(next, null, 2)}\n`);
      } catch (cause) {
        throw new CliError(`${path} cannot be written: ${(cause as Error).message}`, { cause });
      }
    },
  };
};

const sizeOf = (note: string): number => parseCheckpoint(parseNote(note).text).size;
