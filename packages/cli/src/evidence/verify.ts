import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createVerifier,
  EvidenceError,
  type KeyRing,
  type LogTrust,
  NOTE_ED25519,
  parseVkey,
  type ReadFile,
  verifyingKey,
  witnessPolicy,
} from '@agentgate/evidence';
import { parseTrust } from '@agentgate/runtime';
import { type Command, InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { type CliContext, CliError } from '../context.ts';
import type { Run } from '../run.ts';
import { readStatus } from '../stack.ts';
import { openLogFolder } from './log-folder.ts';
import { openLogServer } from './log-server.ts';
import { openMemory } from './memory.ts';
import { createProgress } from './progress.ts';
import { type Asked, verdictJson, verdictText } from './verdict.ts';
import { isFile, judgeFile } from './verify-file.ts';

interface VerifyFlags {
  vkey?: string;
  witness?: string[];
  quorum?: number;
  deploymentKey?: string;
  producers?: string;
  fromIndex: number;
  remember?: string;
  maxAge?: number;
  seals: boolean;
  acceptDisclosed?: true;
  entry?: string;
}

/** What a script can tell apart: good, bad, and not known. */
const exits = { good: 0, bad: 1, unread: 2 } as const;

const whole = (text: string): number => {
  const n = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(n)) throw new InvalidArgumentError('must be a whole number');
  return n;
};
const duration = (text: string): number => {
  const [, n, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (!n || !unit) throw new InvalidArgumentError('must be a number and s, m, h or d, as 10m');
  return Number(n) * { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit as 's' | 'm' | 'h' | 'd'];
};
const gather = (value: string, before: string[] = []): string[] => [...before, value];

/** What a file cannot be asked: taken in silence they would look as if it had been. */
const logDefaults = {
  fromIndex: 0,
  remember: undefined,
  maxAge: undefined,
  seals: true,
  acceptDisclosed: undefined,
} satisfies Partial<Record<keyof VerifyFlags, unknown>>;
const logFlags = Object.keys(logDefaults) as (keyof typeof logDefaults)[];
const dashed = (flag: string) =>
  flag === 'seals' ? 'no-seals' : flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** A bad key on the command line is told by the option that it came from. */
export const given = <T>(option: string, parse: () => T): T => {
  try {
    return parse();
  } catch (error) {
    if (error instanceof EvidenceError) throw new CliError(`${option}: ${error.message}`, { cause: error });
    throw error;
  }
};

const producersOf = (file: string): KeyRing => {
  try {
    return parseTrust(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new CliError(`--producers: ${file} is no trust file: ${(cause as Error).message.split('\n')[0]}`, { cause });
  }
};

const trusted = z.object({ keys: z.array(z.object({ service: z.string(), public_key: z.string() })) });

/** The key that records producers' keys, where the running stack has one and this user may read it. */
const ownDeploymentKey = (home: string): string | undefined => {
  const file = join(home, 'keys', 'trust.json');
  if (!existsSync(file)) return undefined;
  const { keys } = trusted.parse(JSON.parse(readFileSync(file, 'utf8')));
  return keys.find(({ service }) => service === 'deployment')?.public_key;
};

/** The log and whom to trust, by the command line; what it leaves out is the running stack's own. */
const subjectOf = (ctx: CliContext, where: string | undefined, flags: VerifyFlags) => {
  if (where !== undefined && flags.vkey === undefined) {
    throw new CliError('--vkey is missing: without its key a log proves nothing');
  }
  const own = where === undefined ? readStatus(ctx.home) : undefined;
  const vkeys = flags.witness ?? (own?.witness ? [own.witness.vkey] : []);
  if (flags.quorum !== undefined && vkeys.length === 0) {
    throw new CliError('--quorum counts witnesses: name them with --witness');
  }
  const quorum = flags.quorum ?? vkeys.length;
  const { deploymentKey } = flags;
  if (deploymentKey !== undefined) given('--deployment-key', () => verifyingKey(deploymentKey));
  const trust: LogTrust = {
    log: given('--vkey', () => parseVkey(flags.vkey ?? own?.log.vkey ?? '', NOTE_ED25519)),
    witnesses: vkeys.length === 0 ? undefined : given('--witness', () => witnessPolicy({ vkeys, quorum })),
    producers: {
      deploymentKey: deploymentKey ?? (own && ownDeploymentKey(ctx.home)),
      keys: flags.producers === undefined ? undefined : producersOf(flags.producers),
    },
  };
  return { place: where ?? own?.log.dir ?? '', trust };
};

/** Whatever serves a log's files. Throws CliError where nothing can. */
export const openPlace = async (place: string): Promise<ReadFile> => {
  if (!/^[a-z]+:\/\//i.test(place)) return openLogFolder(place);
  const url = URL.canParse(place) ? new URL(place) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return openLogServer(url);
  throw new CliError(`${place} is neither a folder nor an address of http or https`);
};

const judge = async (ctx: CliContext, where: string | undefined, flags: VerifyFlags): Promise<number> => {
  const { place, trust } = subjectOf(ctx, where, flags);
  if (where !== undefined && isFile(where)) {
    const ofLogs = logFlags.find((name) => flags[name] !== logDefaults[name]);
    if (ofLogs) throw new CliError(`--${dashed(ofLogs)} is about a whole log, and ${where} is a file of it`);
    return judgeFile(ctx, { file: where, entry: flags.entry, trust }) ? exits.good : exits.bad;
  }
  const origin = trust.log.name;
  const memory = flags.remember === undefined ? undefined : openMemory(flags.remember);
  const progress = createProgress(ctx);
  const { fromIndex, seals, maxAge: maxAgeMs, acceptDisclosed } = flags;
  const remembered = memory?.recall(origin);
  const read = await openPlace(place);
  const verifier = createVerifier({
    ...{ trust, remembered, fromIndex, seals, maxAgeMs, acceptDisclosed },
    read,
    now: Date.now,
    onProgress: progress.show,
  });
  const verdict = await verifier.verify().finally(progress.end);
  const [first] = verdict.findings;
  if (first?.code === 'NO_CHECKPOINT') throw new CliError(`${place} holds no log: ${first.reason}`);
  if (verdict.ok && verdict.note !== undefined) memory?.remember(origin, verdict.note);
  const asked: Asked = { trust, place, remembered: remembered !== undefined, seals, fromIndex };
  ctx.answer(verdictJson(verdict, asked), () => verdictText(ctx.paint, verdict, asked));
  return verdict.ok ? exits.good : exits.bad;
};

/** Whatever goes wrong on the way says nothing about the evidence, and must not look like a verdict. */
const verify = async (ctx: CliContext, where: string | undefined, flags: VerifyFlags): Promise<number> => {
  try {
    return await judge(ctx, where, flags);
  } catch (error) {
    const isForeseen = error instanceof CliError || error instanceof EvidenceError;
    const line = isForeseen ? error.message : ((error as Error).stack ?? String(error));
    if (ctx.json) ctx.out(JSON.stringify({ error: line }));
    else ctx.err(`agentgate: ${line}`);
    return exits.unread;
  }
};

/** `agentgate evidence verify`: everything that can be known of a log from its files and a few keys. */
export const registerVerify = (evidence: Command, run: Run): void => {
  evidence
    .command('verify')
    .description('verify a log by its files and the keys given here alone')
    .argument('[where]', 'its folder or web address, or a file of prove or export (default: the running stack’s log)')
    .option('--vkey <vkey>', 'the log’s key (default: the running stack’s)')
    .option('--witness <vkey>', 'a witness whose cosignature counts; may be given several times', gather)
    .option('--quorum <k>', 'how many of the witnesses must have cosigned (default: all)', whole)
    .option('--deployment-key <key>', 'whose word on producers’ keys counts (default: the log’s own)')
    .option('--producers <file>', 'a trust file with the only keys that speak for producers')
    .option('--remember <file>', 'hold it against what was found good last, and keep what is found good now')
    .option('--max-age <time>', 'how old the newest cosignature may be, as 10m: shows a roll-back', duration)
    .option('--from-index <n>', 'judge seals, chains and times from this entry on', whole, 0)
    .option('--no-seals', 'judge the log’s structure alone')
    .option('--accept-disclosed', 'holes that the log itself reports do not make it bad')
    .option('--entry <file>', 'the entry that a proof is about (default: beside the proof)')
    .addHelpText('after', '\nExit code 0: good. 1: bad evidence. 2: it could not be read, or not be asked so.')
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? exits.good : exits.unread))
    .action(run((ctx, where: string | undefined, flags: VerifyFlags) => verify(ctx, where, flags)));
};
