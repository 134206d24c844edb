import {
  createVerifier,
  type LogVerdict,
  NOTE_ED25519,
  parseVkey,
  type VerifierOptions,
  witnessPolicy,
} from '../../src/index.ts';
import { type Files, type MadeLog, readerOf, vkeysOf } from './log-maker.ts';

/** An auditor who has the log's, the witness's and the deployment's keys from elsewhere. */
export const trustOf = ({ deployment: { keys } }: Pick<MadeLog, 'deployment'>, { witness = true } = {}) => {
  const vkeys = vkeysOf(keys);
  return {
    log: parseVkey(vkeys.log, NOTE_ED25519),
    witnesses: witness ? witnessPolicy({ vkeys: [vkeys.witness], quorum: 1 }) : undefined,
    producers: { deploymentKey: keys.deployment.publicKey },
  };
};

export const verify = (
  log: MadeLog,
  options: Partial<VerifierOptions> & { files?: Files } = {},
): Promise<LogVerdict> => {
  const { files = log.files, ...rest } = options;
  return createVerifier({ trust: trustOf(log), read: readerOf(files), now: () => log.at + 2_000, ...rest }).verify();
};
