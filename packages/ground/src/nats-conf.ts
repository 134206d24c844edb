import { join } from 'node:path';
import { limits } from '@agentgate/contracts';
import { writePrivate } from './private-file.ts';

export interface NatsConfOptions {
  home: string;
  port: number;
  websocketPort: number;
  host?: string;
  operatorJwt: string;
  systemAccount: string;
  /** Account public key → JWT. */
  accounts: Record<string, string>;
}

const text = (value: string) => JSON.stringify(value);

/**
 * nats.conf in operator mode. `sync_interval: always`: an acknowledged event or kill order is on disk. The file limit stands
 * because the server would else take a share of the free disk and refuse our streams' bounds on a small one.
 */
const natsConf = (o: NatsConfOptions) => `# Written by agentgate; changes are lost.
server_name: agentgate
host: ${text(o.host ?? '127.0.0.1')}
port: ${o.port}
max_payload: ${32 * limits.messageBytes}
# The CONNECT line holds the user's JWT with its permissions.
max_control_line: 65536
ping_interval: "5s"
ping_max: 2
write_deadline: "10s"
lame_duck_grace_period: "1s"
lame_duck_duration: "30s"
authorization { timeout: 10 }
websocket { host: ${text(o.host ?? '127.0.0.1')}, port: ${o.websocketPort}, no_tls: true }
jetstream { store_dir: ${text(join(o.home, 'nats'))}, sync_interval: always, max_mem: 67108864, max_file: 68719476736 }
operator: ${text(o.operatorJwt)}
system_account: ${o.systemAccount}
resolver { type: full, dir: ${text(join(o.home, 'run', 'jwt'))}, allow_delete: false }
resolver_preload {
${Object.entries(o.accounts)
  .map(([id, jwt]) => `  ${id}: ${text(jwt)}`)
  .join('\n')}
}
`;

/** Writes nats.conf and returns its path. It holds no secret: JWTs are signed statements. */
export const layNats = (options: NatsConfOptions): string => {
  const file = join(options.home, 'nats.conf');
  writePrivate(file, natsConf(options));
  return file;
};
