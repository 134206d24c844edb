import type { EvidenceEvent } from '@agentgate/evidence';

/** What can be asked of an event without reading it again. */
export interface IndexRow {
  id: string;
  /** Milliseconds since 1970. */
  time: number;
  type: string;
  tenant: string | null;
  agent: string | null;
  session: string | null;
  call: string | null;
  tool: string | null;
  outcome: string | null;
  code: string | null;
  incident: string | null;
}

type Fields = Record<string, unknown>;
const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const text = (...values: unknown[]): string | null =>
  (values.find((value) => typeof value === 'string' && value.length <= 512) as string | undefined) ?? null;

/** `agentgate.call.decided.v1` → `call.decided` */
export const shortType = (type: string): string => type.replace(/^agentgate\./, '').replace(/\.v1$/, '');

export const rowOf = ({ id, time, type, tenant, agent, session, data }: EvidenceEvent): IndexRow => {
  const scope = fieldsOf(data.scope);
  const decision = fieldsOf(data.decision);
  const ofKind = (kind: string) => (scope.kind === kind ? scope.id : undefined);
  return {
    id,
    time: Date.parse(time),
    type: shortType(type),
    tenant: tenant ?? text(scope.tenant, ofKind('tenant')),
    agent: agent ?? text(ofKind('agent')),
    session: session ?? text(ofKind('session'), data.session),
    call: text(data.call, ofKind('call')),
    tool: text(data.tool, ofKind('tool')),
    outcome: text(data.outcome, decision.action),
    code: text(data.code, decision.code),
    incident: text(data.incident),
  };
};
