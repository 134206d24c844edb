import type { LookupAddress } from 'node:dns';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { LookupFunction } from 'node:net';
import type { AlertSettings } from '@agentgate/contracts';
import { http, https } from '@agentgate/runtime';
import type { Outcome, Send } from '../ports.ts';
import { createAddressCheck, type Resolve } from './checked-addresses.ts';
import type { Sign } from './signatures.ts';
import { Undeliverable } from './undeliverable.ts';

export interface SenderOptions {
  endpoints: AlertSettings['endpoints'];
  sign: Sign;
  resolve: Resolve;
  now: () => number;
  /** For all of one try: looking up, connecting, sending, hearing. */
  timeoutMs?: number;
  /** Certificates to trust instead of the system's. */
  ca?: string;
}

/** What a receiver says beside its status is of no use to us. */
const maxResponseBytes = 64 * 1024;
const maxHeaderBytes = 16 * 1024;

/** Sends an alert in the form of Standard Webhooks 1.0: one POST on a connection of its own, no redirect, no proxy, and nothing of the response but its status. */
export const createWebhookSender = (opts: SenderOptions): Send => {
  const { endpoints, sign, now, timeoutMs = 10_000 } = opts;
  const addressesOf = createAddressCheck(opts.resolve);
  const attempt = async (
    name: string,
    { id, body }: { id: string; body: string },
    signal: AbortSignal,
  ): Promise<Outcome> => {
    const endpoint = endpoints[name];
    if (!endpoint) throw new Undeliverable(`agentgate.yaml names no endpoint ${name}`);
    const url = new URL(endpoint.url);
    if (url.protocol !== 'https:' && !endpoint.allow_http) throw new Undeliverable('its URL is not https');
    const at = new Date(now());
    const signature = await sign(name, { id, at, body });
    const addresses = await orAborted(addressesOf(name, url, endpoint.allow_private), signal);
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'user-agent': 'AgentGate/0.1.0',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
      'webhook-signature': signature,
    };
    return post({ url, addresses, headers, body, signal, ...(opts.ca !== undefined && { ca: opts.ca }) });
  };
  return async (name, message, closing) => {
    const late = AbortSignal.timeout(timeoutMs);
    try {
      return await attempt(name, message, AbortSignal.any([closing, late]));
    } catch (error) {
      if (error instanceof Undeliverable) return { ok: false, problem: error.message };
      if (late.aborted) return { ok: false, problem: `did not answer within ${timeoutMs} ms` };
      return { ok: false, problem: `cannot be reached: ${codeOf(error)}` };
    }
  };
};

/** Of a foreign error only its code: its message may quote the URL. */
const codeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : 'unknown error';
};

const orAborted = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });

/** Answers with the addresses that were checked, whatever the name may mean by now. */
const pinned =
  (addresses: LookupAddress[]): LookupFunction =>
  (_host, { all }, done) => {
    const [first] = addresses;
    if (all === true) done(null, addresses);
    else done(null, first?.address ?? '', first?.family ?? 4);
  };

const post = (o: {
  url: URL;
  addresses: LookupAddress[];
  headers: Record<string, string | number>;
  body: string;
  signal: AbortSignal;
  ca?: string;
}): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      // A connection of its own, to the host of the URL: name and certificate are checked against that.
      agent: false as const,
      lookup: pinned(o.addresses),
      headers: o.headers,
      signal: o.signal,
      maxHeaderSize: maxHeaderBytes,
    };
    const request: ClientRequest =
      o.url.protocol === 'https:'
        ? https.request(o.url, { ...options, ...(o.ca !== undefined && { ca: o.ca }) })
        : http.request(o.url, options);
    request.on('error', reject);
    request.on('response', (response) => {
      // From here on the status stands, however the response ends.
      discard(response, () => resolve(outcomeOf(response.statusCode ?? 0)));
    });
    request.end(o.body);
  });

const discard = (response: IncomingMessage, then: () => void) => {
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxResponseBytes) response.destroy();
  });
  response.on('error', () => {});
  response.on('close', then);
};

const outcomeOf = (status: number): Outcome => {
  if (status >= 200 && status < 300) return { ok: true };
  if (status >= 300 && status < 400) return { ok: false, problem: `answered ${status}: redirects are not followed` };
  if (status === 410) return { ok: false, problem: 'answered 410: it takes no alerts any more', gone: true };
  return { ok: false, problem: `answered ${status}` };
};
