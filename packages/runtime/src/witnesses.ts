import { readFileSync } from 'node:fs';
import { witnessesFile } from '@agentgate/contracts';
import { NOTE_ED25519, type NoteKey, parseVkey, type WitnessPolicy, witnessPolicy } from '@agentgate/evidence';

/** The log of this deployment and the witnesses that its checkpoints need. */
export interface Witnesses {
  origin: string;
  /** The log's own keys. */
  keys: readonly NoteKey[];
  /** Undefined where there is no witness: nothing is witnessed then. */
  policy: WitnessPolicy | undefined;
  each: readonly { url: string; key: NoteKey }[];
}

export const parseWitnesses = (text: string): Witnesses => {
  const { log, witnesses, quorum } = witnessesFile.parse(JSON.parse(text));
  const policy = witnesses.length > 0 ? witnessPolicy({ vkeys: witnesses.map(({ vkey }) => vkey), quorum }) : undefined;
  return {
    origin: log.origin,
    keys: [parseVkey(log.vkey, NOTE_ED25519)],
    policy,
    each: witnesses.map(({ url }, i) => ({ url, key: policy?.witnesses[i] as NoteKey })),
  };
};
export const readWitnesses = (file: string): Witnesses => parseWitnesses(readFileSync(file, 'utf8'));
