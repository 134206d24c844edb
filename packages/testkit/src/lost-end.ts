import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Ground } from './ground.ts';

/** What a stream holds at one time. */
export interface KeptStream {
  /** NATS crashes and comes back without what came to the stream since. Consumers keep what they knew. */
  crash(): Promise<void>;
}

/** NATS is restarted for it, so that all that the stream holds is on disk. */
export const keepStream = async ({ dir, nats }: Pick<Ground, 'dir' | 'nats'>, stream: string): Promise<KeptStream> => {
  const accounts = join(dir, 'home', 'nats', 'jetstream');
  const stores = readdirSync(accounts).map((account) => join(accounts, account, 'streams', stream, 'msgs'));
  const messages = stores.find((store) => existsSync(store));
  if (!messages) throw new Error(`no stream ${stream} stands below ${accounts}`);
  const kept = join(dir, `kept-${stream}`);
  await nats.stop();
  rmSync(kept, { recursive: true, force: true });
  cpSync(messages, kept, { recursive: true });
  await nats.start();
  return {
    crash: async () => {
      await nats.kill('SIGKILL');
      rmSync(messages, { recursive: true });
      cpSync(kept, messages, { recursive: true });
      await nats.start();
    },
  };
};
