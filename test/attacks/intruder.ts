import { connect, credsAuthenticator, type Msg, type NatsConnection } from '@nats-io/transport-node';
import type { Stack } from '../stack.ts';

// An attacker brings a client of his own, which keeps to none of our rules: so the NATS client itself, and not packages/bus.

export interface Intruder {
  nc: NatsConnection;
  /** Whether NATS refused to take a message for this subject. */
  isRefusedToSay(subject: string, body?: string | Uint8Array, reply?: string): Promise<boolean>;
  /** Whether NATS refused a subscription; where it did not, what it brought is in `heard`. */
  isRefusedToHear(subject: string, queue?: string): Promise<boolean>;
  heard: Msg[];
  close(): Promise<void>;
}

export const intrude = async (stack: Stack, creds: string, inboxPrefix?: string): Promise<Intruder> => {
  const nc = await connect({
    servers: stack.status.nats,
    authenticator: credsAuthenticator(new TextEncoder().encode(creds)),
    ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
  });
  const refused: string[] = [];
  const watch = async () => {
    for await (const status of nc.status())
      if (status.type === 'error') refused.push(String((status.error as Error).message));
  };
  watch().catch(() => {});
  const heard: Msg[] = [];
  /** The server answers a violation in order with everything else: after a round trip it is here, if there was one. */
  const countAfter = async (act: () => void): Promise<number> => {
    const before = refused.length;
    act();
    await nc.flush();
    await new Promise((resolve) => setTimeout(resolve, 5));
    return refused.length - before;
  };
  return {
    nc,
    heard,
    isRefusedToSay: async (subject, body = '', reply) =>
      (await countAfter(() => nc.publish(subject, body, reply === undefined ? {} : { reply }))) > 0,
    isRefusedToHear: async (subject, queue) => {
      let isDenied = false;
      const violations = await countAfter(() => {
        nc.subscribe(subject, {
          ...(queue === undefined ? {} : { queue }),
          callback: (error, msg) => {
            if (error) isDenied = true;
            else heard.push(msg);
          },
        });
      });
      return isDenied || violations > 0;
    },
    close: () => nc.close(),
  };
};
