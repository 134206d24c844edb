import { formatted, type Injection, type LeasedSecret } from '@agentgate/contracts';

/** A credential in memory: for one call, or as long as its session's lease lives. */
export interface Credential {
  parts: LeasedSecret['parts'];
  /** Every text of it that must come back in no result. */
  hidden: string[];
  /** The private key (JWK) of proofs, where the secret is a token that is bound to it (RFC 9449). */
  dpopKey: Record<string, unknown> | undefined;
}

export const credentialOf = ({ parts, hidden, dpop_key }: LeasedSecret): Credential => ({
  parts,
  hidden: hidden.flatMap((part) => (Object.hasOwn(parts, part) ? (parts[part] ?? []) : [])),
  dpopKey: dpop_key,
});

// What the configuration names of a credential, where it names it; nothing else goes to an upstream.

export const headersOf = (inject: Injection | undefined, { parts }: Credential): Record<string, string> =>
  inject && 'header' in inject ? { [inject.header]: formatted(inject.format, parts) } : {};

export const environmentOf = (inject: Injection | undefined, { parts }: Credential): Record<string, string> => {
  if (!inject || !('env' in inject)) return {};
  if (typeof inject.env === 'string' && 'format' in inject) return { [inject.env]: formatted(inject.format, parts) };
  return Object.fromEntries(Object.entries(inject.env).map(([name, format]) => [name, formatted(format, parts)]));
};

export const fieldOf = (inject: Injection | undefined, { parts }: Credential): Record<string, string> | undefined =>
  inject && 'field' in inject ? { [inject.field]: formatted(inject.format, parts) } : undefined;

export const metaOf = (inject: Injection | undefined, { parts }: Credential): Record<string, string> | undefined =>
  inject && 'meta' in inject ? { [inject.meta]: formatted(inject.format, parts) } : undefined;
