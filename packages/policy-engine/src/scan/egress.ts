import { isIP } from 'node:net';
import type { PolicySettings } from '@agentgate/contracts';
import { classOfAddress } from '@agentgate/runtime';
import { hostOf, prepareHostIn } from '../conditions/host.ts';
import { at } from '../conditions/verdict.ts';
import { unmask } from '../provenance/normalise.ts';
import type { EgressHost } from './findings.ts';
import { type Leaf, leavesOf } from './leaves.ts';

// Hosts that a call's arguments name, as the WHATWG URL parser reads them: decimal, octal, hexadecimal and short IPv4 come out as
// addresses. What programs read differently is `unclear`, and nobody goes there.

const maxHosts = 64;
/** The same host over and over is looked at so often. */
const maxLooked = 1_024;
const maxShown = 253;

const metadataNames =
  /^(?:metadata|metadata\.(?:google|azure|goog|oraclecloud|tencentyun)(?:\.[a-z]+)*|instance-data(?:\..*)?)$/;

/** RFC 6761, RFC 6762, RFC 8375 and what sites use inside. */
const insideNames = /(?:^|\.)(?:localhost|local|internal|intranet|lan|home|corp|private|localdomain|home\.arpa)$/;
/** Names such as `10.0.0.1.example.net` that resolve to the address in them. */
const addressInName = /(?:^|[.-])(\d{1,3})[.-](\d{1,3})[.-](\d{1,3})[.-](\d{1,3})(?=[.-]|$)/;

const classOf = (host: string): EgressHost['class'] => {
  if (isIP(host) !== 0) return classOfAddress(host);
  if (metadataNames.test(host)) return 'metadata';
  if (!host.includes('.') || insideNames.test(host)) return 'private';
  const [, ...octets] = addressInName.exec(host) ?? [];
  const address = octets.join('.');
  return isIP(address) === 4 ? classOfAddress(address) : 'public';
};

const link = /\b[a-z][a-z0-9+.-]{1,15}:[/\\]{2}[^\s<>"|]{1,2048}|(?<![\w@.-])www\.[a-z0-9.-]{1,253}/gi;
const mailAddress = /^[^\n]{0,128}?[a-z0-9._%+-]{1,64}@([a-z0-9.-]{3,253})>?$/i;
const hostKeys =
  /^(?:.*_)?(?:url|urls|uri|uris|href|link|links|host|hosts|hostname|domain|endpoint|webhook|callback|website|webpage|ip|ip_address|remote|origin)$/i;

/** What stands between the slashes and the path. */
const authorityOf = (text: string): string =>
  (
    text
      .replace(/^[a-z][a-z0-9+.-]{0,15}:(?!\d{1,5}(?:\/|$))/i, '')
      .replace(/^[/\\]{2,}/, '')
      .split(/[/?#]/, 1)[0] ?? ''
  ).slice(0, 2048);

interface Named {
  authority: string;
  mail: boolean;
  /** Programs that open it do not agree on where it leads. */
  unclear?: true;
}

/** The URL parser of browsers takes these out, wherever they stand (WHATWG URL, "URL parsing"). */
const stripped = /\p{Cc}/gu;
/** What that parser takes for a link with a host, whatever stands between scheme and host. */
const bareLink = /^(?:https?|wss?|ftp):(?![/\\]{2}[^/\\\s])/i;

const namedIn = ({ key, text }: Leaf): Named[] => {
  const shown = unmask(text);
  const clean = shown.replace(stripped, '').trim();
  // A sentence over several lines is none.
  if (bareLink.test(clean) && !clean.includes(' ')) return [{ authority: clean, mail: false, unclear: true }];
  if (clean !== shown.trim() && /^(?:https?|wss?|ftp):\S*$/i.test(clean))
    return [{ authority: clean, mail: false, unclear: true }];
  const named: Named[] = Array.from(shown.matchAll(link), ([found]) => ({
    authority: authorityOf(found.replace(/[.,;:!?)'`’]+$/, '')),
    mail: false,
  }));
  const [, domain] = mailAddress.exec(shown.trim()) ?? [];
  if (domain !== undefined && !shown.includes('://')) return [...named, { authority: domain, mail: true }];
  // A path on a host that is not named, or a sentence, names none.
  const isWhole =
    hostKeys.test(key) && named.length === 0 && /^\S+$/.test(shown) && !/^(?:[/?#](?![/\\])|\.)/.test(shown);
  return isWhole ? [{ authority: authorityOf(shown), mail: false }] : named;
};

const written = (text: string): string => text.slice(0, maxShown).toWellFormed();

/** Throws UnsafeCondition for a pattern of the lists that could not be enforced. */
export const createEgressScan = (
  settings: PolicySettings['egress'],
): ((
  args: Record<string, unknown>,
  purposeHosts: ReadonlySet<string>,
  isLookedAt?: (pointer: string) => boolean,
) => EgressHost[]) => {
  const isDenied = at('deny', () => prepareHostIn(settings.deny));
  const isAllowed = at('allow', () => prepareHostIn(settings.allow ?? []));
  const listOf = (host: string): EgressHost['list'] =>
    isDenied(host).state !== 'fails' ? 'denied' : isAllowed(host).state === 'holds' ? 'allowed' : 'unlisted';

  const judge = (
    pointer: string,
    { authority, mail, unclear }: Named,
    purposeHosts: ReadonlySet<string>,
    disguised: boolean,
  ): EgressHost => {
    const found = hostOf(authority);
    if (unclear || 'fault' in found)
      return { pointer, host: written(authority), class: 'unclear', list: 'unlisted', mail, in_purpose: false };
    const { host } = found;
    // What only looks like a trusted name is another one: it is judged by what it looks like, and never trusted for it.
    if (disguised) {
      const list = listOf(host) === 'denied' ? ('denied' as const) : ('unlisted' as const);
      return { pointer, host: written(host), class: classOf(host), list, mail, in_purpose: false };
    }
    const in_purpose = purposeHosts.has(host) || purposeHosts.has(host.replace(/^www\./, ''));
    return { pointer, host: written(host), class: classOf(host), list: listOf(host), mail, in_purpose };
  };

  return (args, purposeHosts, isLookedAt = () => true) => {
    const found = new Map<string, EgressHost>();
    let looked = 0;
    for (const leaf of leavesOf(args)) {
      if (!isLookedAt(leaf.pointer)) continue;
      const disguised = unmask(leaf.text) !== leaf.text.normalize('NFC');
      for (const named of namedIn(leaf)) {
        const host = judge(leaf.pointer, named, purposeHosts, disguised);
        if (found.size >= maxHosts || ++looked > maxLooked) {
          const more = { ...host, host: '(more)', class: 'unclear' as const };
          return [...found.values(), more];
        }
        found.set(`${host.pointer} ${host.host} ${host.class}`, host);
      }
    }
    return [...found.values()];
  };
};
