import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { classOfAddress } from '@agentgate/runtime';
import { Undeliverable } from './undeliverable.ts';

/** Every address of a name, as the system knows it. */
export type Resolve = (host: string) => Promise<LookupAddress[]>;
export const systemResolve: Resolve = (host) => lookup(host, { all: true, verbatim: true });

/**
 * Looks a URL's host up once and checks every address that came: the caller connects to these and asks nobody again, so a name that means
 * something else a moment later changes nothing. One endpoint has one look-up on its way at most, since each that hangs holds a thread.
 */
export const createAddressCheck = (resolve: Resolve) => {
  const onTheWay = new Map<string, Promise<LookupAddress[]>>();
  const resolveOnce = (endpoint: string, host: string): Promise<LookupAddress[]> => {
    const asked =
      onTheWay.get(endpoint) ??
      resolve(host).finally(() => {
        onTheWay.delete(endpoint);
      });
    onTheWay.set(endpoint, asked);
    return asked;
  };
  return async (endpoint: string, { hostname }: URL, allowPrivate: boolean): Promise<LookupAddress[]> => {
    const host = hostname.replace(/^\[|\]$/g, '');
    const family = isIP(host);
    const addresses = family === 0 ? await resolveOnce(endpoint, host) : [{ address: host, family }];
    if (addresses.length === 0) throw new Undeliverable('its host has no address');
    for (const { address } of addresses) {
      const kind = classOfAddress(address);
      if (kind === 'metadata') throw new Undeliverable(`its address ${address} is one of a cloud's metadata service`);
      if (kind === 'private' && !allowPrivate)
        throw new Undeliverable(
          `its address ${address} is not on the public Internet, and allow_private does not say that it may be`,
        );
    }
    return addresses;
  };
};
