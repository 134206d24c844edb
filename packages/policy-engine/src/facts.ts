import {
  type CatalogTool,
  type DecideAsk,
  effects,
  type Obligations,
  type Pack,
  type PolicySettings,
  type ToolProfile,
  tokensOf,
} from '@agentgate/contracts';
import { type Facts, noFacts } from './engine/policy-input.ts';
import { createDescriptions, profileOf, type ToolDescription } from './provenance/describe.ts';
import { type Judgement, judgePurpose } from './provenance/purpose.ts';
import {
  argumentValues,
  type CallValues,
  isCopied,
  namesSomebodyElse,
  provenanceOf,
  roleOf,
  suspectKeys,
  traced,
} from './provenance/trace.ts';
import { createPurposes, type ReadPurpose } from './purposes.ts';
import { createDlpScan } from './scan/dlp.ts';
import { createEgressScan } from './scan/egress.ts';
import type { EgressHost } from './scan/findings.ts';
import type { Commit, Recall, Recalled, SessionFacts } from './session-facts.ts';

// What the packs ask about a call, found before the engine. Packs that are off cost nothing and find nothing.

export interface FactsOptions {
  tools: readonly ToolProfile[];
  policy: PolicySettings;
  secrets: readonly { name: string; bytes: Uint8Array }[];
  memory: Recall;
}

/** A call whose session is its agent's own, and a tool that exists. */
export interface Asked {
  ask: DecideAsk;
  session: SessionFacts;
  tool: CatalogTool;
}
export interface Found {
  facts: Facts;
  provenance: Record<string, string[]>;
  labels: string[];
  /** The result is to be remembered before the agent sees it. */
  observe: boolean;
  /** What a call that is allowed, or held, is charged to (`Commit`). */
  charge?: Commit['charge'];
  written: string[];
}
export interface FactFinder {
  describe(tool: CatalogTool): ToolDescription;
  /** What the configuration says of the tool of that name. */
  profileOf(tool: string): ToolProfile | undefined;
  /** In order, in one round trip. */
  find(asked: Asked[]): Promise<Found[]>;
}

interface Looked extends Asked {
  described: ToolDescription;
  purpose: ReadPurpose;
  judged: Judgement;
  carried: CallValues;
  charge: Commit['charge'];
}

const leaves: readonly string[] = ['fetch', 'send', 'execute', 'permission', 'payment'];
/** Pointers go into reasons and evidence; an argument's name may be as long as a message. */
const maxPointer = 256;

export const createFactFinder = ({ tools, policy, secrets, memory }: FactsOptions): FactFinder => {
  const packs: ReadonlySet<Pack> = new Set(policy.packs);
  const describe = createDescriptions(tools);
  const purposeOf = createPurposes();
  const scanDlp = createDlpScan(secrets);
  const scanEgress = createEgressScan(policy.egress);
  const tracing = packs.has('provenance');
  const judging = tracing || packs.has('destructive');
  /** No other pack asks for more than what the configuration says of the tool. */
  const isLooking = judging || packs.has('egress') || packs.has('dlp');

  const look = (asked: Asked): Looked => {
    const described = describe(asked.tool);
    const purpose = purposeOf(judging || packs.has('egress') ? asked.session.purpose : '');
    const carried = tracing ? argumentValues(asked.ask.arguments, described) : carriesNothing;
    const judged = !judging
      ? nothingJudged
      : leadsWhereAsked(described, carried, purpose)
        ? { ...nothingJudged, given: true, asks: true, budget: -1 }
        : judgePurpose(purpose.purpose, described);
    const charge = tracing && described.acts ? chargeOf(asked.ask.tool, described, { judged, carried }) : undefined;
    return { ...asked, described, purpose, judged, carried, charge };
  };

  const hostsOf = ({ ask, described, purpose }: Looked): EgressHost[] => {
    if (!packs.has('egress')) return [];
    // What is only kept or written down leads nowhere.
    const goesOut = described.labels.some((label) => leaves.includes(label));
    return scanEgress(
      ask.arguments,
      purpose.hosts,
      (pointer) => goesOut || roleOf(tokensOf(pointer), described) !== 'content',
    );
  };

  const judge = (looked: Looked, known: Recalled | undefined): Found => {
    const { ask, described, purpose, judged, carried, charge } = looked;
    const { values } = carried;
    if (!isLooking)
      return { ...nothingFound, labels: described.labels, facts: { ...noFacts, profile: profileFacts(looked) } };
    const recollection = { ...(known ?? nothingKnown), purpose: purpose.keys };
    const found = tracing ? traced(values, purpose.purpose, recollection) : nothingTraced;
    const isFull = known?.full ?? false;
    return {
      labels: described.labels,
      provenance: tracing ? bounded(provenanceOf(values, purpose.purpose, recollection)) : {},
      facts: {
        purpose: {
          given: judged.given,
          asks: judged.asks,
          delegates: judged.delegates,
          budget: judged.budget,
          used: known?.used ?? 0,
          somebody_else: namesSomebodyElse(values, judged.names, { purpose: purpose.purpose, keys: purpose.keys }),
          links: judged.links || (judged.delegates && purpose.purpose.asksForLinks),
          names_pages: purpose.purpose.namesPages,
        },
        values: found.values.map((value) => ({ ...value, pointer: shortened(value.pointer) })),
        // What is not remembered any more may have been copied.
        copied:
          tracing && ((isFull && carried.said.length + carried.shingles.length > 0) || isCopied(carried, recollection)),
        overflow: carried.overflow || found.overflow,
        dlp: packs.has('dlp')
          ? scanDlp(ask.arguments).map((each) => ({ ...each, pointer: shortened(each.pointer) }))
          : [],
        hosts: hostsOf(looked).map((each) => ({ ...each, pointer: shortened(each.pointer) })),
        profile: profileFacts(looked),
      },
      observe: tracing,
      // A lookup that repeats what it was asked for makes nothing of it more than it was.
      written: tracing ? suspectKeys(values, purpose.purpose, recollection) : [],
      charge,
    };
  };

  const profileFacts = ({ ask, described }: Looked): Facts['profile'] => {
    const { profile } = described;
    const taint = tracing || packs.has('egress') ? described.taint : (profile?.taint ?? []);
    return {
      taint,
      rate_limits: packs.has('limits')
        ? [...(profile?.rate_limits ?? []), ...policy.rate_limits].map((limit) => limitOf(ask, limit))
        : [],
      ...(profile?.redact && { redact: profile.redact }),
      ...(profile?.evidence && { evidence: profile.evidence }),
      ...(profile?.witnessed && { witnessed: true }),
    };
  };

  return {
    describe,
    profileOf: (tool) => profileOf(tool, tools),
    find: async (asked) => {
      const looked = asked.map(look);
      if (!tracing) return looked.map((each) => judge(each, undefined));
      const known = await memory.recall(
        looked.map(({ ask: { tenant, agent, session, tool }, carried: { values, said, shingles }, charge }) => ({
          tenant,
          agent,
          session,
          counter: charge?.counter ?? tool,
          keys: [...new Set([...values.map(({ key }) => key), ...said, ...shingles])],
        })),
      );
      return looked.map((each, i) => judge(each, known[i]));
    },
  };
};

const nothingFound: Pick<Found, 'provenance' | 'observe' | 'charge' | 'written'> = {
  provenance: {},
  observe: false,
  charge: undefined,
  written: [],
};
const nothingTraced: ReturnType<typeof traced> = { values: [], overflow: false };
const nothingJudged: Judgement = { ...noFacts.purpose, requests: '', names: [], links: false };
const carriesNothing: CallValues = { values: [], said: [], shingles: [], targets: '', overflow: false };
const nothingKnown: Pick<Recalled, 'sources' | 'written'> = { sources: new Map(), written: new Set() };

/** It fetches from hosts that the purpose names, and only from them: that is asked for however often. */
const leadsWhereAsked = ({ labels, acts }: ToolDescription, { values }: CallValues, { keys }: ReadPurpose): boolean => {
  const hosts = values.filter(({ kind }) => kind === 'host');
  const onlyFetches = acts && labels.every((label) => label === 'fetch' || !isEffect(label));
  return onlyFetches && hosts.length > 0 && hosts.every(({ key }) => keys.has(key));
};
const isEffect = (label: string): boolean => (effects as readonly string[]).includes(label);

/** A request that names a number pays for so many calls, of whatever tool. One that says "each" pays for one message to each. */
const chargeOf = (
  tool: string,
  { labels }: ToolDescription,
  { judged, carried }: Pick<Looked, 'judged' | 'carried'>,
): Commit['charge'] => {
  if (judged.budget >= 0) return { counter: `requests ${judged.requests}`, budget: judged.budget };
  return labels.includes('send') && carried.targets !== ''
    ? { counter: `${tool}#${carried.targets}`, budget: 1 }
    : undefined;
};

const limitOf = (
  { tenant, agent, session, tool }: DecideAsk,
  { limit, window_s, per }: PolicySettings['rate_limits'][number],
): NonNullable<Obligations['rate_limits']>[number] => {
  const whose = { session, agent: `${tenant}/${agent}`, tenant, everybody: '*' }[per];
  return { key: `${per} ${whose} ${tool}`.slice(0, 256), limit, window_s };
};

const shortened = (pointer: string): string => pointer.slice(0, maxPointer).toWellFormed();
const bounded = (provenance: Record<string, string[]>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(provenance).map(([pointer, from]) => [shortened(pointer), from]));
