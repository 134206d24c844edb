import { join } from 'node:path';
import type { AccountName } from '@agentgate/contracts';
import { coreAccounts } from './accounts.ts';
import { newAccountSeed, newOperatorSeed, publicKeyOf } from './jwt.ts';
import { readOrMake } from './private-file.ts';

/** The operator's and the accounts' nkey seeds, made once. Whoever reads them can mint any user. */
export interface Seeds {
  operator: string;
  core: Record<AccountName, string>;
  /** The core accounts' public keys. */
  ids: Record<AccountName, string>;
  tenant(tenant: string): string;
}

export const laySeeds = (home: string): Seeds => {
  const seed = (file: string, make: () => string) => readOrMake(join(home, 'keys', 'nats', `${file}.nk`), make);
  const core = Object.fromEntries(
    coreAccounts.map((account) => [account, seed(`account-${account}`, newAccountSeed)]),
  ) as Record<AccountName, string>;
  return {
    operator: seed('operator', newOperatorSeed),
    core,
    ids: Object.fromEntries(coreAccounts.map((account) => [account, publicKeyOf(core[account])])) as Record<
      AccountName,
      string
    >,
    tenant: (tenant) => seed(`tenant-${tenant}`, newAccountSeed),
  };
};
