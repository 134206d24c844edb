import { dirname, isAbsolute, resolve } from 'node:path';
import { type Document, isScalar, LineCounter, type Node, parseDocument, visit, type YAMLError } from 'yaml';
import { z } from 'zod';
import { alertSettings, mapAlertSources } from './alerts.ts';
import { condition, pointer } from './condition.ts';
import { containment, noContainment } from './containment.ts';
import {
  type Credential,
  credential,
  httpUrl,
  type Injection,
  inject,
  isForPerson,
  mapSources,
  unknownPart,
} from './credentials.ts';
import { limits, name, services } from './names.ts';
import { firstProblemOf, type Problem, tellProblem } from './parse.ts';
import { people } from './permissions.ts';
import { approvers } from './permit.ts';
import { defaultPinning, pinningSettings } from './tool-pin.ts';
import {
  type Pack,
  type PolicySettings,
  policySettings,
  type ToolProfile,
  toolPattern,
  toolProfile,
} from './tool-profile.ts';
import { evidenceSettings } from './witnesses.ts';

// agentgate.yaml (PROTOCOL.md, "Configuration"). Reading the file is the caller's; this parses, checks and makes paths absolute.

const text = (max: number) => z.string().min(1).max(max);
export const grant = z.strictObject({
  id: name,
  to: z
    .strictObject({
      agents: z.array(name).min(1).max(1024).optional(),
      labels: z.array(name).min(1).max(64).optional(),
      tenants: z.array(name).min(1).max(256).optional(),
    })
    .refine((to) => Object.keys(to).length > 0, 'names nobody'),
  tools: z.array(toolPattern).min(1).max(256),
  where: z.record(pointer, condition).optional(),
  effect: z.enum(['allow', 'require_approval', 'deny']),
  /** With `require_approval`: how many people, and who. */
  approvers: approvers.optional(),
});
export type Grant = z.infer<typeof grant>;

const environment = z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/), z.string().max(8192));
const server = z
  .strictObject({
    stdio: z
      .strictObject({
        command: text(4096),
        args: z.array(z.string().max(4096)).max(256).default([]),
        env: environment.default({}),
        cwd: text(4096).optional(),
      })
      .optional(),
    http: z
      .strictObject({
        url: z
          .url({ protocol: /^https?$/ })
          .max(2048)
          .refine((u) => {
            const { username, password } = new URL(u);
            return username === '' && password === '';
          }, 'must not hold a user or a password'),
      })
      .optional(),
    nats: z
      .strictObject({
        subject: z
          .string()
          .max(128)
          .regex(/^tool\.v1\.[a-z0-9][a-z0-9_-]{0,62}$/, 'must be tool.v1.<name>'),
      })
      .optional(),
    credential: name.optional(),
    inject: inject.optional(),
    /** The credential with which the gate itself reads the server's list of tools, where the server tells it to nobody without one. */
    list_with: name.optional(),
  })
  .refine((s) => [s.stdio, s.http, s.nats].filter(Boolean).length === 1, 'needs exactly one of stdio, http and nats')
  .refine((s) => (s.credential === undefined) === (s.inject === undefined), 'credential and inject go together')
  .refine(
    (s) =>
      s.inject === undefined ||
      (s.http && 'header' in s.inject) ||
      (s.stdio && 'env' in s.inject) ||
      (!s.nats && 'meta' in s.inject) ||
      (s.nats && 'field' in s.inject),
    'inject: header goes with http, env with stdio, meta with either, field with nats',
  )
  .refine((s) => s.list_with === undefined || (s.inject && ('header' in s.inject || 'env' in s.inject)), {
    path: ['list_with'],
    message: 'goes with an inject of header or env',
  });
export type Server = z.infer<typeof server>;

/** Settings that a pack carries out: one that is off must not look as if it protected anything. */
const settingsOf = ({ policy, tools }: { policy: PolicySettings; tools: ToolProfile[] }) => {
  const found: { pack: Pack; path: (string | number)[] }[] = [];
  if (policy.egress.allow || policy.egress.deny.length > 0) found.push({ pack: 'egress', path: ['policy', 'egress'] });
  if (Object.keys(policy.secrets).length > 0) found.push({ pack: 'dlp', path: ['policy', 'secrets'] });
  if (policy.rate_limits.length > 0) found.push({ pack: 'limits', path: ['policy', 'rate_limits'] });
  for (const [i, tool] of tools.entries())
    if (tool.rate_limits) found.push({ pack: 'limits', path: ['tools', i, 'rate_limits'] });
  return found;
};

/** Why the gate cannot list a server's tools with this credential: nobody's session is there, and it is injected as the calls' own. */
const wrongForListing = (
  credentials: Record<string, Credential>,
  name: string,
  injection: Injection,
): string | undefined => {
  const listed = Object.hasOwn(credentials, name) ? credentials[name] : undefined;
  if (!listed) return `no credential is named ${name}`;
  if (isForPerson(listed)) return 'is made for a person, and nobody is there when tools are listed';
  const part = unknownPart(injection, listed.provider);
  return part === undefined ? undefined : `a credential of provider ${listed.provider} has no {${part}}`;
};

export const config = z
  .strictObject({
    v: z.literal(1),
    tenants: z.record(
      name,
      z.strictObject({
        agents: z.record(name, z.strictObject({ labels: z.array(name).max(32).default([]) })).default({}),
      }),
    ),
    servers: z.record(name, server).default({}),
    credentials: z.record(name, credential).default({}),
    /** Whose word counts on the person that an agent acts for (`subject_token` of `session`). Several speak of the same people: one name, one person. */
    subject_tokens: z
      .array(
        z.strictObject({
          issuer: z.url({ protocol: /^https?$/ }).max(2048),
          /** Of the tokens; the gate's own name there. */
          audience: text(512),
          /** Where its keys are (RFC 7517). */
          jwks_uri: httpUrl,
        }),
      )
      .max(16)
      .default([]),
    grants: z.array(grant).max(20_000).default([]),
    /** The first entry that names a tool describes it. */
    tools: z.array(toolProfile).max(10_000).default([]),
    /** Which definitions of tools may be called before an operator has looked at them. */
    pinning: pinningSettings.default(defaultPinning),
    policy: policySettings.default({ packs: ['baseline'], egress: { deny: [] }, secrets: {}, rate_limits: [] }),
    evidence: evidenceSettings.default({ witnesses: [] }),
    /** Operators beside `operator`: each gets credentials in creds/<name>.creds. */
    operators: z.array(name).max(64).default([]),
    /** Who push and activate policies, beside `engineer`: each gets credentials in creds/<name>.creds. */
    engineers: z.array(name).max(64).default([]),
    /**
     * Kinds of scopes whose kills are lifted only when a second operator asks the same within five minutes. `policy`: a policy is
     * activated only when a second engineer asks the same; taking one back needs nobody else. `exception`: one counts only when a second operator asks the same.
     */
    dual_control: z
      .array(z.enum(['session', 'agent', 'tool', 'tenant', 'global', 'policy', 'exception']))
      .max(7)
      .default([]),
    /** What stops an agent, a session or a tool without anybody asking (services/sentinel). */
    containment: containment.default(noContainment),
    approvals: z
      .strictObject({
        /** How long a person may take. */
        ttl_s: z.int().min(5).max(86_400).default(900),
        /** Who may approve, beside `approver`: each gets credentials in creds/<name>.creds. */
        people: z.record(name, z.strictObject({ roles: z.array(name).max(16).default([]) })).default({}),
      })
      .default({ ttl_s: 900, people: {} }),
    /** Webhooks that are told of kills, alarms and questions. */
    alerts: alertSettings.default({ endpoints: {} }),
    limits: z
      .strictObject({
        calls_in_flight: z.int().min(1).max(65_536).default(4096),
        call_timeout_ms: z.int().min(1).max(limits.callTimeoutMaxMs).default(30_000),
        result_bytes: z.int().min(1024).max(1_048_576).default(1_048_576),
      })
      .default({ calls_in_flight: 4096, call_timeout_ms: 30_000, result_bytes: 1_048_576 }),
  })
  .superRefine((c, ctx) => {
    for (const [at, s] of Object.entries(c.servers)) {
      if (s.credential === undefined || !s.inject) continue;
      const issued = Object.hasOwn(c.credentials, s.credential) ? c.credentials[s.credential] : undefined;
      const at_ = (key: string, message: string) =>
        ctx.addIssue({ code: 'custom', path: ['servers', at, key], message });
      if (!issued) {
        at_('credential', `no credential is named ${s.credential}`);
        continue;
      }
      const part = unknownPart(s.inject, issued.provider);
      if (part !== undefined) at_('inject', `a credential of provider ${issued.provider} has no {${part}}`);
      if ('bind' in issued && issued.bind === 'dpop' && !('header' in s.inject))
        at_('inject', 'a token that is bound to a key (bind: dpop) goes into a header');
      const wrong = s.list_with === undefined ? undefined : wrongForListing(c.credentials, s.list_with, s.inject);
      if (wrong !== undefined) at_('list_with', wrong);
    }
    for (const [at, issued] of Object.entries(c.credentials))
      if (issued.provider === 'oauth-token-exchange' && issued.subject === 'person' && c.subject_tokens.length === 0)
        ctx.addIssue({
          code: 'custom',
          path: ['credentials', at, 'subject'],
          message: 'nobody can be named: subject_tokens names no issuer',
        });
    for (const { pack, path } of settingsOf(c))
      if (!c.policy.packs.includes(pack))
        ctx.addIssue({ code: 'custom', path, message: `does nothing while policy.packs does not name ${pack}` });
    const seen = new Set<string>();
    for (const [i, g] of c.grants.entries()) {
      if (seen.has(g.id))
        ctx.addIssue({ code: 'custom', path: ['grants', i, 'id'], message: `a second grant is named ${g.id}` });
      seen.add(g.id);
      if (g.approvers && g.effect !== 'require_approval')
        ctx.addIssue({
          code: 'custom',
          path: ['grants', i, 'approvers'],
          message: 'goes with effect require_approval only',
        });
    }
    for (const [i, { credentials = [] }] of c.containment.canaries.entries())
      for (const [j, credential] of credentials.entries())
        if (!Object.hasOwn(c.credentials, credential))
          ctx.addIssue({
            code: 'custom',
            path: ['containment', 'canaries', i, 'credentials', j],
            message: `no credential is named ${credential}`,
          });
    // Evidence names people and services side by side.
    const taken = (person: string, others: readonly string[]) =>
      [...others, ...services, 'agentgate'].includes(person) ||
      person.startsWith('agent-') ||
      person.startsWith('tool-');
    for (const person of Object.keys(c.approvals.people))
      if (taken(person, ['operator', 'auditor', 'engineer', ...c.operators, ...c.engineers]))
        ctx.addIssue({ code: 'custom', path: ['approvals', 'people', person], message: 'is the name of another user' });
    for (const [i, person] of c.operators.entries())
      if (taken(person, [...people, ...c.operators.slice(0, i)]))
        ctx.addIssue({ code: 'custom', path: ['operators', i], message: 'is the name of another user' });
    for (const [i, person] of c.engineers.entries())
      if (taken(person, [...people, ...c.operators, ...c.engineers.slice(0, i)]))
        ctx.addIssue({ code: 'custom', path: ['engineers', i], message: 'is the name of another user' });
    if (c.dual_control.includes('policy') && c.engineers.length === 0)
      ctx.addIssue({
        code: 'custom',
        path: ['dual_control'],
        message: 'needs a second engineer: engineers names none',
      });
    if (c.dual_control.some((kind) => kind !== 'policy') && c.operators.length === 0)
      ctx.addIssue({
        code: 'custom',
        path: ['dual_control'],
        message: 'needs a second operator: operators names none',
      });
  });
export type Config = z.infer<typeof config>;

/** A refused configuration: `message` is `<file>:<line>: <key>: <why>`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Parses agentgate.yaml. `file` is its absolute path: relative paths in it are resolved from there. `problemOf` looks for what no schema can see,
 * in a configuration of the right form. Throws ConfigError for the first problem.
 */
export const parseConfig = (
  source: string,
  file: string,
  problemOf: (config: Config) => Problem | undefined = () => undefined,
): Config => {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const refused = (offset: number | undefined, why: string) =>
    new ConfigError(`${file}:${offset === undefined ? 1 : lines.linePos(offset).line}: ${why}`);
  const syntax = document.errors[0] ?? document.warnings[0];
  if (syntax) throw refused(syntax.pos[0], tellSyntax(syntax, source));
  if (document.contents === null) throw new ConfigError(`${file}: is empty`);
  const wrong = wrongNodeOf(document);
  if (wrong) throw refused(wrong.node.range?.[0], wrong.why);
  const parsed = config.safeParse(resolved(document, file));
  const refuseProblem = (problem: Problem) =>
    refused(offsetOf(document.contents, problem.path), tellProblem(problem).replace(/^\/(: )?/, ''));
  if (!parsed.success) throw refuseProblem(firstProblemOf(parsed.error));
  const read = absolutePaths(parsed.data, dirname(file));
  const problem = problemOf(read);
  if (problem) throw refuseProblem(problem);
  return read;
};

const tellSyntax = ({ code, message, pos }: YAMLError, source: string): string => {
  if (code === 'DUPLICATE_KEY') return `${source.slice(pos[0]).split(':', 1)[0]?.trim()}: stands here a second time`;
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here, and one is allowed';
  return message.split('\n')[0] ?? message;
};

/** What YAML takes and the schema never sees: zod passes over a key `__proto__`, and an alias of nothing has no value. */
const wrongNodeOf = (document: Document): { node: Node; why: string } | undefined => {
  let found: { node: Node; why: string } | undefined;
  const stopAt = (node: Node, why: string) => {
    found = { node, why };
    return visit.BREAK;
  };
  visit(document, {
    Pair: (_, { key }) =>
      isScalar(key) && key.value === '__proto__' ? stopAt(key, '__proto__: this key is not allowed') : undefined,
    Alias: (_, alias) =>
      alias.resolve(document)
        ? undefined
        : stopAt(alias, `*${alias.source}: nothing before it is named &${alias.source}`),
  });
  return found;
};

const resolved = (document: Document, file: string): unknown => {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new ConfigError(`${file}: its aliases stand for too much`, { cause });
  }
};

/** Where the deepest node of `path` that exists begins. */
const offsetOf = (root: unknown, path: string[]): number | undefined => {
  let node = root as (Node & { items?: unknown[] }) | null;
  let offset = node?.range?.[0];
  for (const step of path) {
    const found = (node?.items ?? []).find((item, i) =>
      isPair(item) ? String(item.key.value) === step : String(i) === step,
    );
    if (found === undefined) break;
    const next = isPair(found) ? found.value : (found as Node);
    offset = (isPair(found) ? found.key.range?.[0] : next?.range?.[0]) ?? offset;
    node = next as (Node & { items?: unknown[] }) | null;
  }
  return offset;
};
const isPair = (item: unknown): item is { key: { value: unknown; range?: [number] }; value: Node | null } =>
  typeof item === 'object' && item !== null && 'key' in item;

const absolutePaths = (c: Config, base: string): Config => {
  const from = (path: string) => (isAbsolute(path) ? path : resolve(base, path));
  /** Of a command's words only those that say so (`./x`, `../x`) are paths. */
  const word = (w: string) => (/^\.\.?(\/|$)/.test(w) ? resolve(base, w) : w);
  const under = <T extends { under?: string | undefined }>(cond: T): T =>
    cond.under === undefined ? cond : { ...cond, under: from(cond.under) };
  return {
    ...c,
    servers: mapValues(c.servers, (s) =>
      s.stdio
        ? {
            ...s,
            stdio: {
              ...s.stdio,
              command: word(s.stdio.command),
              args: s.stdio.args.map(word),
              cwd: from(s.stdio.cwd ?? '.'),
            },
          }
        : s,
    ),
    credentials: mapValues(c.credentials, (k) =>
      mapSources(k, (source) => ('file' in source ? { file: from(source.file) } : source)),
    ),
    alerts: mapAlertSources(c.alerts, (source) => ('file' in source ? { file: from(source.file) } : source)),
    policy: {
      ...c.policy,
      secrets: mapValues(c.policy.secrets, (source) => ('file' in source ? { file: from(source.file) } : source)),
    },
    containment: {
      ...c.containment,
      canaries: c.containment.canaries.map((rule) =>
        rule.values
          ? {
              ...rule,
              values: mapValues(rule.values, (source) => ('file' in source ? { file: from(source.file) } : source)),
            }
          : rule,
      ),
    },
    grants: c.grants.map((g) =>
      g.where
        ? {
            ...g,
            where: mapValues(g.where, (cond) => ({ ...under(cond), ...(cond.each ? { each: under(cond.each) } : {}) })),
          }
        : g,
    ),
  };
};
const mapValues = <T, U>(record: Record<string, T>, f: (value: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(record).map(([k, value]) => [k, f(value)]));
