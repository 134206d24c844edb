import { type AccountName, type Share, shares } from '@agentgate/contracts';
import type { AccountClaims } from './jwt.ts';

// Account JWTs from the contracts' shares: what each account offers and takes, its limits, its revoked users.

export const coreAccounts = ['SYS', 'CORE', 'AUDIT', 'OPS', 'TOOLS'] as const satisfies readonly AccountName[];
const withStreams: readonly AccountName[] = ['CORE', 'AUDIT'];

const noLimits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: 0 };
const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

const exported = (share: Share) => ({
  name: share.subject,
  subject: share.subject,
  type: 'service' as const,
  response_type: share.stream ? ('Stream' as const) : ('Singleton' as const),
  ...(share.accountToken === undefined ? {} : { account_token_position: share.accountToken }),
});

/** What the importing account asks for: its own id stands where the exporting account enforces it. */
const imported = (share: Share, self: string, from: string) => ({
  name: share.subject,
  subject: share.accountToken === undefined ? share.subject : withToken(share.subject, share.accountToken, self),
  account: from,
  type: 'service' as const,
  local_subject: share.local,
});
const withToken = (subject: string, position: number, token: string) =>
  subject
    .split('.')
    .with(position - 1, token)
    .join('.');

const once = <T extends { subject: string }>(items: T[]): T[] => [
  ...new Map(items.map((item) => [item.subject, item])).values(),
];

/** `ids` are the accounts' public keys. */
export const claimsOfCoreAccount = (account: AccountName, ids: Record<AccountName, string>): AccountClaims => ({
  limits: withStreams.includes(account) ? { ...noLimits, ...jetStream } : noLimits,
  exports: once(shares.filter((s) => s.from === account).map(exported)),
  imports: shares.filter((s) => s.to === account).map((s) => imported(s, ids[account], ids[s.from])),
});

/** `revoked`: user public key → seconds since the epoch; whatever was minted until then is void. */
export const claimsOfTenant = (
  self: string,
  ids: Record<AccountName, string>,
  revoked: Record<string, number>,
): AccountClaims => ({
  limits: noLimits,
  imports: shares.filter((s) => s.to === 'tenants').map((s) => imported(s, self, ids[s.from])),
  ...(Object.keys(revoked).length > 0 ? { revocations: revoked } : {}),
});
