import { type Checkpoint, verifyCheckpoint } from '../checkpoint.ts';
import { EvidenceError } from '../error.ts';
import { verifyConsistency } from '../merkle.ts';
import type { NoteKey } from '../note-key.ts';
import { tilePath } from '../tile.ts';
import { consistencyProof, tilesForConsistency } from '../tree-proof.ts';
import { type Findings, finding } from './finding.ts';
import type { LogFiles } from './log-files.ts';

interface RememberedOptions {
  files: LogFiles;
  findings: Findings;
  log: NoteKey;
  checkpoint: Checkpoint;
  remembered: string | undefined;
}

/**
 * Whether the log goes on from what this verifier accepted last. To be asked once all tiles were judged: a tile that is
 * damaged breaks the proof too, and that is no fork. Throws MALFORMED where what is remembered is not of this log.
 */
export async function checkRemembered({
  files,
  findings,
  log,
  checkpoint,
  remembered,
}: RememberedOptions): Promise<void> {
  if (remembered === undefined) return;
  const before = verifyCheckpoint(remembered, { origin: log.name, keys: [log] });
  if (!before.ok) throw new EvidenceError('MALFORMED', `what is remembered of ${log.name}: ${before.reason}`);
  const { size: oldSize, root: oldRoot } = before.checkpoint;
  const { size, root } = checkpoint;
  if (oldSize > size) {
    const what = `entries ${size} to ${oldSize - 1} are gone`;
    const reason = `this verifier saw ${oldSize} entries, and the checkpoint is of ${size}`;
    return findings.add(finding('ROLLED_BACK', { index: size, what, reason }));
  }
  const tiles = new Map<string, Uint8Array>();
  for (const tile of tilesForConsistency(oldSize, size)) {
    const bytes = await files.hashes(tile);
    if (bytes instanceof Uint8Array) tiles.set(tilePath(tile), bytes);
    // Told by whoever judged the tiles.
    else return;
  }
  const proof = consistencyProof({ oldSize, size, readTile: (path) => tiles.get(path) as Uint8Array });
  if (verifyConsistency({ oldSize, oldRoot, size, root, proof }) || findings.hasStructure) return;
  const what = `the log does not go on from the ${oldSize} entries that this verifier saw`;
  const reason = `one of the entries 0 to ${oldSize - 1} is another one now, and the log’s key signed both`;
  findings.add(finding('FORKED', { what, reason }));
}
