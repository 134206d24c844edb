import type { SecretSource } from '@agentgate/contracts';
import type { Provider } from '../provider.ts';
import type { ReadSecret } from './secret-source.ts';

/** A secret that somebody else made. There is nothing to revoke: it stays valid wherever it went. */
export const createStaticProvider = ({ from, read }: { from: SecretSource; read: ReadSecret }): Provider => ({
  kind: 'static',
  mint: async () => ({ parts: { secret: await read(from) }, hidden: ['secret'] }),
  revoke: async () => {},
  probe: async () => ({ state: 'unprovable', detail: 'a static secret cannot be taken back from whoever holds it' }),
  close: async () => {},
});
