import { join } from 'node:path';
import type { EvidenceSettings, WitnessesFile } from '@agentgate/contracts';
import { writePrivate } from './private-file.ts';
import { logOrigin } from './signing-keys.ts';

export const witnessesFileIn = (home: string): string => join(home, 'keys', 'witnesses.json');

/** Writes witnesses.json: the log and those whose cosignatures its checkpoints need. */
export const layWitnesses = (
  home: string,
  { vkey, witnesses, quorum }: { vkey: string } & Pick<EvidenceSettings, 'witnesses' | 'quorum'>,
): void => {
  const told: WitnessesFile = { v: 1, log: { origin: logOrigin, vkey }, witnesses, quorum: quorum ?? 0 };
  writePrivate(witnessesFileIn(home), `${JSON.stringify(told, null, 2)}\n`);
};
