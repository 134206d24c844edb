import { type Containment, createToolMatch } from '@agentgate/contracts';
import { sha256Hex } from '@agentgate/evidence';
import type { Happening } from './happening.ts';

type Compiled<R> = R & { matches(tool: string): boolean };

/** The rules of agentgate.yaml, ready to be asked. */
export interface Rules extends Pick<Containment, 'denials' | 'anomalies' | 'risk' | 'escalate'> {
  canaries: Compiled<Containment['canaries'][number]>[];
  breakers: Compiled<Containment['breakers'][number]>[];
  /** Whether any rule can ask for what is of this kind. */
  asksFor(kind: Happening['kind']): boolean;
  /** Whether any rule asks for what happened. */
  isWanted(happening: Happening): boolean;
  /** Changes with every change of a rule: counts of other rules count for nothing. */
  digest: string;
  size: number;
}

export const compileRules = (containment: Containment): Rules => {
  const { denials, canaries, breakers, anomalies, risk, escalate } = containment;
  const compiled = <R extends { tools?: string[] | undefined }>(rule: R): Compiled<R> => ({
    ...rule,
    matches: createToolMatch(rule.tools ?? []),
  });
  const [bait, fuses] = [canaries.map(compiled), breakers.map(compiled)];
  const weighs = (signal: string | undefined) =>
    signal !== undefined && risk.some(({ weights }) => ((weights as Record<string, number>)[signal] ?? 0) > 0);

  const asked: Record<Happening['kind'], boolean> = {
    decided: canaries.length + denials.length + risk.length > 0,
    completed: breakers.length + risk.length > 0,
    leased: canaries.length > 0,
    approval_rejected: risk.length > 0,
    anomaly: anomalies.length > 0,
    lifted: true,
  };
  const isWanted = (h: Happening): boolean => {
    switch (h.kind) {
      case 'decided':
        return (
          h.baits.length > 0 ||
          bait.some((rule) => rule.matches(h.tool)) ||
          (h.refused !== undefined &&
            (weighs(h.refused) || denials.some(({ codes }) => codes.some((c) => c === h.refused))))
        );
      case 'completed':
        return h.risk.some(weighs) || fuses.some((rule) => rule.matches(h.tool));
      case 'leased':
        return canaries.some(({ credentials }) => credentials?.includes(h.credential));
      case 'approval_rejected':
        return weighs(h.kind);
      case 'anomaly':
        return anomalies.some(({ kinds }) => kinds.some((kind) => kind === h.anomaly));
      case 'lifted':
        return true;
      default:
        return h satisfies never;
    }
  };
  return {
    denials,
    canaries: bait,
    breakers: fuses,
    anomalies,
    risk,
    escalate,
    asksFor: (kind) => asked[kind],
    isWanted,
    digest: sha256Hex(JSON.stringify(containment)),
    size: denials.length + canaries.length + breakers.length + anomalies.length + risk.length,
  };
};
