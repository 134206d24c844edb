import { AgentGateError, type CredentialOf, type SecretSource } from '@agentgate/contracts';
import { unavailable } from '../provider.ts';
import { bareCause } from './bare-cause.ts';

export interface VaultAnswer {
  status: number;
  /** Undefined where it was no JSON. */
  body: unknown;
}

/** The HTTP API of Vault and OpenBao with the broker's own token. */
export interface VaultClient {
  /** Resolves with whatever status Vault gave. `path` stands below `/v1/`. */
  ask(method: 'GET' | 'PUT' | 'POST', path: string, body?: object): Promise<VaultAnswer>;
  /** Whether `ask` rejected with this error before Vault could have seen the request. */
  neverSent(error: unknown): boolean;
}

export interface VaultClientOptions {
  credential: string;
  config: Pick<CredentialOf<'vault'>, 'address' | 'namespace' | 'token'>;
  read: (source: SecretSource) => Promise<string>;
}

const deadlineMs = 2_000;
const maxAnswerBytes = 64 * 1024;
const headerValue = /^[\x21-\x7E]{1,8192}$/;
const unconnected = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
]);

export const createVaultClient = ({ credential, config, read }: VaultClientOptions): VaultClient => {
  const unsent = new WeakSet<Error>();
  const notSent = (what: string, cause?: unknown): AgentGateError => {
    const error = unavailable(credential, what, cause);
    unsent.add(error);
    return error;
  };

  const headers = async (): Promise<Record<string, string>> => {
    const token = await read(config.token).catch((error: unknown) => {
      throw notSent("cannot be asked for: the broker's token for Vault cannot be read", bareCause(error));
    });
    // `fetch` would quote a token that no header can hold.
    if (!headerValue.test(token)) throw notSent("cannot be asked for: the broker's token for Vault is not one");
    return {
      'X-Vault-Token': token,
      'X-Vault-Request': 'true',
      'Content-Type': 'application/json',
      ...(config.namespace === undefined ? {} : { 'X-Vault-Namespace': config.namespace }),
    };
  };

  const urlOf = (path: string): URL => {
    const segments = path.split('/');
    if (segments.some((segment) => segment === '' || segment === '.' || segment === '..'))
      throw notSent('names a path of Vault that leads elsewhere');
    const url = new URL(config.address);
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/${segments.map(encodeURIComponent).join('/')}`;
    url.search = '';
    url.hash = '';
    return url;
  };

  const failure = (error: unknown): AgentGateError => {
    if (error instanceof AgentGateError) return error;
    if (error instanceof Error && error.name === 'TimeoutError')
      return unavailable(credential, `got no answer from Vault within ${deadlineMs} ms`);
    const cause = bareCause(error);
    const what = 'cannot be asked for: Vault cannot be reached';
    return cause.code !== undefined && unconnected.has(cause.code)
      ? notSent(what, cause)
      : unavailable(credential, what, cause);
  };

  return {
    ask: async (method, path, body) => {
      const url = urlOf(path);
      const init = { method, headers: await headers(), redirect: 'manual' as const };
      try {
        const response = await fetch(url, {
          ...init,
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(deadlineMs),
        });
        return { status: response.status, body: jsonOf(await textOf(credential, response)) };
      } catch (error) {
        throw failure(error);
      }
    },
    neverSent: (error) => error instanceof Error && unsent.has(error),
  };
};

/** What a status other than the wanted one comes to; not what Vault said about it. */
export const refusedWith = (credential: string, status: number): AgentGateError => {
  if (status >= 300 && status < 400)
    return unavailable(credential, `got a redirect from Vault, which is not followed (HTTP ${status})`);
  if (status === 403)
    return unavailable(credential, "is refused by Vault: the broker's token may not, or is no longer good (HTTP 403)");
  if (status === 503) return unavailable(credential, 'cannot be asked for: Vault is sealed or not active (HTTP 503)');
  return unavailable(credential, `got an answer from Vault that does not help (HTTP ${status})`);
};

const textOf = async (credential: string, response: Response): Promise<string> => {
  if (!response.body) return '';
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.length;
    if (size > maxAnswerBytes)
      throw unavailable(credential, `got an answer of more than ${maxAnswerBytes} bytes from Vault`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
};

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
