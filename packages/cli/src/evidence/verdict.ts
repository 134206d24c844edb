import { type Finding, formatVkey, type LogTrust, type LogVerdict } from '@agentgate/evidence';
import type { CliContext } from '../context.ts';

/** What the verdict is about, and what was asked of it. */
export interface Asked {
  trust: LogTrust;
  place: string;
  /** Whether there was a checkpoint to hold it against. */
  remembered: boolean;
  seals: boolean;
  fromIndex: number;
}

type Colours = Pick<CliContext['paint'], 'green' | 'red' | 'dim' | 'yellow'>;

const MORE = 5;

/** Names in a log are its writer's: nothing of them may move a terminal's cursor or turn the text around. */
const printable = (text: string) => text.replace(/[\p{Cc}\p{Cf}]/gu, '·');
const row = (name: string, text: string) => `  ${name.padEnd(11)} ${printable(text)}`;
const number = (n: number) => n.toLocaleString('en');
const iso = (time: number) => new Date(time).toISOString();

/** A few lines for people: what was found, by whose word, and what it means. */
export const verdictText = (paint: Colours, verdict: LogVerdict, asked: Asked): string =>
  [...(verdict.ok ? goodLines(paint, verdict, asked) : badLines(paint, verdict)), ...whoLines(verdict, asked)].join(
    '\n',
  );

const goodLines = (paint: Colours, verdict: LogVerdict, { seals, fromIndex }: Asked): string[] => {
  const { checkpoint, entries, findings } = verdict;
  const size = number(checkpoint?.size ?? 0);
  const depth = seals ? 'sealed, chained and in place' : 'in place; who wrote them was not asked';
  const lines = [`${paint.green('✓')} ${size} entries of ${printable(checkpoint?.origin ?? '')}: ${depth}`];
  if (entries.from !== undefined && entries.to !== undefined)
    lines.push(row('time', `${iso(entries.from)} to ${iso(entries.to)}`));
  if (seals && fromIndex > 0) lines.push(row('from', `seals, chains and times from entry ${number(fromIndex)} on`));
  for (const found of findings)
    lines.push(
      `${paint.yellow('!')} ${printable(found.what)}, which the log reports itself in entry ${found.disclosedAt}`,
    );
  return lines;
};

const badLines = (paint: Colours, { findings, total, holds }: LogVerdict): string[] => {
  // The first wrong entry says more than what is wrong with the log as a whole, where both are there.
  const first = findings.find(({ index }) => index !== undefined) ?? (findings[0] as Finding);
  const others = findings.filter((each) => each !== first);
  const lines = [
    `${paint.red('✗')} ${printable(first.what)}`,
    row('shows in', first.reason),
    row('means', first.means),
    ...holds.map((each, i) => row(i === 0 ? 'still holds' : '', each)),
    ...(holds.length === 0 ? [row('still holds', 'Nothing, by this log’s own word.')] : []),
  ];
  for (const other of others.slice(0, MORE)) {
    const note = other.disclosedAt === undefined ? '' : `, which the log reports itself in entry ${other.disclosedAt}`;
    lines.push(`${paint.red('✗')} ${printable(other.what)}${note}`, row('means', other.means));
  }
  const rest = total - 1 - Math.min(others.length, MORE);
  if (rest > 0) lines.push(row('', `and ${number(rest)} more, which mostly follow from these`));
  return lines;
};

/** By whose word it is so, and what nobody was asked about. */
const whoLines = (
  { cosignatures, keys, keyAuthority, entries, ok }: LogVerdict,
  { trust, seals, remembered }: Asked,
): string[] => {
  const lines = [row('log key', formatVkey(trust.log))];
  if (trust.witnesses) {
    const { quorum, witnesses } = trust.witnesses;
    const who = cosignatures.map(({ witness, time }) => `${witness.name} at ${iso(time * 1_000)}`).join(', ');
    lines.push(row('witnesses', `${who || 'none'} (${quorum} of ${witnesses.length} asked for)`));
  } else lines.push(row('witnesses', 'none asked for: the holder of the log’s key can have rewritten or cut it'));
  if (seals) {
    const used = `${entries.keys.length} used by ${entries.chains} producers`;
    const authority = {
      given: 'those that were given',
      deployment: `${keys.length} recorded under the deployment’s key`,
      log: `${keys.length} recorded; taken on the log’s word, since no --deployment-key says whose they are`,
    }[keyAuthority];
    lines.push(row('keys', `${used}; ${authority}`));
    for (const { source, since } of entries.silent.slice(0, MORE)) {
      lines.push(row('silent', `${source} since ${iso(since)}: it failed, or what it said then is cut off`));
    }
    if (entries.silent.length > MORE) lines.push(row('', `and others: --json names twenty`));
  }
  if (remembered && ok) lines.push(row('remembered', 'it goes on from what was found good last'));
  return lines;
};

/** The same for programs. */
export const verdictJson = (verdict: LogVerdict, { trust, place, remembered, seals, fromIndex }: Asked): object => {
  const { ok, total, findings, firstBadIndex, checkpoint, cosignatures, entries, keys, keyAuthority, holds } = verdict;
  return {
    ok,
    place,
    ...(checkpoint && {
      origin: checkpoint.origin,
      size: checkpoint.size,
      root: Buffer.from(checkpoint.root).toString('hex'),
    }),
    log_key: formatVkey(trust.log),
    witnesses: cosignatures.map(({ witness, time }) => ({ name: witness.name, at: iso(time * 1_000) })),
    witnesses_asked: trust.witnesses ? { of: trust.witnesses.witnesses.length, quorum: trust.witnesses.quorum } : null,
    remembered,
    seals,
    from_index: fromIndex,
    sealed: entries.sealed,
    ...(entries.from !== undefined && entries.to !== undefined && { from: iso(entries.from), to: iso(entries.to) }),
    silent: entries.silent.map(({ source, since }) => ({ source, since: iso(since) })),
    key_authority: keyAuthority,
    keys_used: entries.keys,
    keys_recorded: keys.map(({ keyid, service, addedAt, revokedAt }) => ({
      keyid,
      service,
      added_at: addedAt,
      ...(revokedAt !== undefined && { revoked_at: revokedAt }),
    })),
    ...(firstBadIndex !== undefined && { first_bad_index: firstBadIndex }),
    findings: findings.map(({ disclosedAt, ...found }) => ({
      ...found,
      ...(disclosedAt !== undefined && { disclosed_at: disclosedAt }),
    })),
    findings_total: total,
    holds,
  };
};
