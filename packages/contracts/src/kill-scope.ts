import type { Code } from './codes.ts';
import { AgentGateError } from './error.ts';
import type { Scope } from './operator.ts';

/** Who and what a call is, as far as a kill can cover it. */
export interface CallIdentity {
  tenant: string;
  agent: string;
  session: string;
  tool: string;
}

/** One text a scope, the same for every spelling of it; the key of every kill view. */
export const scopeKey = (scope: Scope): string => {
  switch (scope.kind) {
    case 'session':
      return `session:${scope.id}`;
    case 'agent':
      return `agent:${scope.tenant ?? 'default'}:${scope.id}`;
    case 'tool':
      return `tool:${scope.tenant ?? '*'}:${scope.id}`;
    case 'tenant':
      return `tenant:${scope.id}`;
    case 'global':
      return 'global';
    default:
      return scope satisfies never;
  }
};

/** The keys of every scope that covers this call, the widest first. */
export const coveringKeys = (call: CallIdentity): string[] => [
  'global',
  `tenant:${call.tenant}`,
  `tool:*:${call.tool}`,
  `tool:${call.tenant}:${call.tool}`,
  `agent:${call.tenant}:${call.agent}`,
  `session:${call.session}`,
];

export const covers = (scope: Scope, call: CallIdentity): boolean => coveringKeys(call).includes(scopeKey(scope));

const killedCodes = {
  session: 'KILLED_SESSION',
  agent: 'KILLED_AGENT',
  tool: 'KILLED_TOOL',
  tenant: 'KILLED_TENANT',
  global: 'KILLED_GLOBAL',
} as const satisfies Record<Scope['kind'], Code>;
export const killedCode = (scope: Scope): Code => killedCodes[scope.kind];
export const describeScope = (scope: Scope): string =>
  scope.kind === 'global' ? 'everything' : `${scope.kind} ${scope.id}`;
/** The refusal of a call that an order covers. */
export const killedError = ({ scope, reason }: { scope: Scope; reason: string }): AgentGateError =>
  new AgentGateError(killedCode(scope), `${describeScope(scope)} is killed: ${reason}`);
