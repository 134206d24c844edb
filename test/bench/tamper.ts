import { makeLog, publish, signersOf } from '../../packages/evidence/test/verify/log-maker.ts';
import { attacks, trial } from '../../packages/evidence/test/verify/tamper.ts';
import { trustOf, verify } from '../../packages/evidence/test/verify/trust.ts';

// Whether a log that somebody tampered with is told from a good one: each attack in seeded trials, by what the verifier
// has besides the log's and the deployment's keys. And whether it ever takes a good log for a bad one.

const maxAgeMs = 600_000;

interface Row {
  attack: string;
  means: string;
  trials: number;
  alone: number;
  memory: number;
  witness: number;
}

const tried = async (attack: (typeof attacks)[number], trials: number): Promise<Row> => {
  const row = { attack: attack.name, means: attack.means, trials, alone: 0, memory: 0, witness: 0 };
  for (let seed = 1; seed <= trials; seed++) {
    const { log, tampered } = trial(attack, seed);
    const { files, remembered } = tampered;
    const trust = trustOf(log, { witness: false });
    const isCaught = async (options: Parameters<typeof verify>[1]) => !(await verify(log, { files, ...options })).ok;
    if (await isCaught({ trust })) row.alone += 1;
    if (await isCaught({ trust, remembered })) row.memory += 1;
    if (await isCaught({ maxAgeMs })) row.witness += 1;
  }
  return row;
};

/** Prints how many trials of each attack were caught, as a table for docs/evidence.md. False where a witness missed one. */
export const benchTamper = async ({ json, trials }: { json: boolean; trials: number }): Promise<boolean> => {
  const rows: Row[] = [];
  if (!json) {
    console.log(`| what is done (${trials} trials each) | by | the keys alone | and a memory | and a witness |`);
    console.log('| --- | --- | --- | --- | --- |');
  }
  for (const attack of attacks) {
    const row = await tried(attack, trials);
    rows.push(row);
    const { means, alone, memory, witness } = row;
    if (!json) console.log(`| ${row.attack} | ${means} | ${alone} | ${memory} | ${witness} |`);
  }
  if (json) console.log(JSON.stringify(rows));
  return rows.every(({ witness }) => witness === trials);
};

/** Prints how many good logs of random size were taken for bad ones. False where there was one. */
export const benchClean = async ({ json, runs }: { json: boolean; runs: number }): Promise<boolean> => {
  let [alarms, entries] = [0, 0];
  for (let seed = 1; seed <= runs; seed++) {
    // Most logs small, since that is where the edges lie; one in a hundred of some thousand entries.
    const size = seed % 100 === 0 ? (seed * 37) % 5_000 : (seed * 101) % 300;
    const log = makeLog(seed, size);
    const before = publish(log.entries.slice(0, size >> 1), signersOf(log.deployment, log.at)).get('checkpoint');
    const verdict = await verify(log, { maxAgeMs, remembered: Buffer.from(before ?? []).toString() });
    entries += size;
    if (verdict.ok) continue;
    alarms += 1;
    console.error(`log ${seed} of ${size} entries: ${JSON.stringify(verdict.findings[0])}`);
  }
  if (json) console.log(JSON.stringify({ runs, entries, alarms }));
  else
    console.log(`${alarms === 0 ? '✓' : '✗'} ${alarms} false alarms in ${runs} good logs of ${entries} entries in all`);
  return alarms === 0;
};
