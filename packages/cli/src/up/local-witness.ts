import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EvidenceSettings } from '@agentgate/contracts';
import { type Deployment, layWitnesses, logOrigin } from '@agentgate/ground';
import { addLog, initWitness, readWitness } from '@agentgate/witness';
import { baseEnvironment } from './base-environment.ts';
import { compileCache } from './compile-cache.ts';
import type { ProgramSpec, Supervisor } from './supervisor.ts';

export const witnessName = 'witness';
const startMs = 30_000;

type Witness = EvidenceSettings['witnesses'][number];

const folderIn = (home: string) => join(home, 'witness');

interface Place {
  host?: string;
  port: number;
}

/** Makes the witness of this home, or has it know the log's key of now. Returns its key. */
export const layWitnessFolder = ({ home, keys }: Pick<Deployment, 'home' | 'keys'>): string => {
  const folder = folderIn(home);
  if (localVkey(home) === undefined) initWitness(folder, { name: `${logOrigin}/witness`, logs: [keys.logVerifierKey] });
  // After a new log key the witness knows both.
  addLog(folder, keys.logVerifierKey);
  return readWitness(folder).vkey;
};

/**
 * Where the configuration names no witness, a stack has one of its own: its key and its memory lie on the disk of the log that it
 * watches, so it shows how witnesses work and catches accidents, and proves nothing against whoever holds the machine.
 */
export const layLocalWitness = (deployment: Deployment, { host = '127.0.0.1', port }: Place): Witness | undefined => {
  const { home, keys, config } = deployment;
  if (config.evidence.witnesses.length > 0) return undefined;
  const witness = { url: `http://${host}:${port}`, vkey: layWitnessFolder(deployment) };
  layWitnesses(home, { vkey: keys.logVerifierKey, witnesses: [witness], quorum: 1 });
  return witness;
};

/** The key of the witness of this home, where there is one. */
export const localVkey = (home: string): string | undefined =>
  existsSync(join(folderIn(home), 'witness.json')) ? readWitness(folderIn(home)).vkey : undefined;

export const witnessSpec = (opts: {
  home: string;
  root: string;
  port: number;
  environment: Record<string, string | undefined>;
  node: string;
  logLevel: string;
}): ProgramSpec => ({
  name: witnessName,
  command: opts.node,
  args: ['--disable-warning=ExperimentalWarning', join(opts.root, 'packages', 'witness', 'src', 'main.ts')],
  env: {
    ...baseEnvironment(opts.environment),
    AGENTGATE_WITNESS_DIR: folderIn(opts.home),
    AGENTGATE_HTTP_PORT: String(opts.port),
    AGENTGATE_LOG_LEVEL: opts.logLevel,
    NODE_ENV: 'production',
    ...compileCache(opts.root),
  },
  cwd: opts.root,
});

/** Waits until it answers. Throws where it does not in time. */
export const witnessReady = async (
  { url, vkey }: Witness,
  { supervisor, signal, gone }: { supervisor: Supervisor; signal: AbortSignal; gone: (why: string) => Error },
): Promise<void> => {
  for (const end = performance.now() + startMs; ; ) {
    signal.throwIfAborted();
    const told = await fetch(url, { signal: AbortSignal.timeout(1_500) })
      .then((answer) => answer.json() as Promise<{ vkey?: string }>)
      .catch(() => undefined);
    if (told?.vkey === vkey) return;
    const last = supervisor.state(witnessName)?.lastLines.at(-1) ?? 'it said nothing';
    if (performance.now() > end) throw gone(`the witness does not answer at ${url}: ${last}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};
