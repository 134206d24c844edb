import { join } from 'node:path';
import { auditWitnessed } from '@agentgate/contracts';
import { createGauge, type ServiceContext, type Witnesses as Trusted } from '@agentgate/runtime';
import { Gauge } from 'prom-client';
import { realFileSystem } from './adapters/file-system.ts';
import { witnessOverHttp } from './adapters/witness-http.ts';
import type { Anomaly } from './anomaly.ts';
import type { Cosign } from './cosigning.ts';
import { createLogProofs } from './log-proofs.ts';
import { createWitness } from './witness.ts';
import { createWitnessedEvents, type WitnessedEvents } from './witnessed-events.ts';
import { createWitnesses } from './witnesses.ts';

export interface Witnessing {
  /** Undefined where there is no witness. */
  cosign: Cosign | undefined;
  /** An entry took its place in the tree. */
  onAppended: WitnessedEvents['onAppended'];
  /** From here on answers those who wait for witnesses. */
  serve(): void;
  /** To be called each second: what is to be reported since. */
  tick(): Anomaly[];
  close(): void;
}

/** Everything about witnesses, put together; `folder` is the published log. */
export const createWitnessing = (
  { bus, log, metrics, health, now }: Pick<ServiceContext, 'bus' | 'log' | 'metrics' | 'health' | 'now'>,
  { folder, trusted }: { folder: string; trusted: Trusted },
): Witnessing => {
  const proofs = createLogProofs((path) => realFileSystem.read(join(folder, path)));
  const anomalies: Anomaly[] = [];
  const { policy, each } = trusted;
  const events = createWitnessedEvents({
    proofs,
    now,
    ...(policy ? {} : { why: 'no witness is configured: the checkpoints of the evidence log are not cosigned' }),
  });
  const witnesses = createWitnesses({
    each: each.map(
      ({ url, key }) =>
        (tell) =>
          createWitness({ key, add: witnessOverHttp(url), proofs, ...tell }),
    ),
    quorum: policy?.quorum ?? 0,
    now,
    onCosigned: events.onCosigned,
    onAnomaly: (anomaly) => {
      log.error({ kind: anomaly.kind, about: anomaly.about }, anomaly.detail);
      anomalies.push(anomaly);
    },
  });
  const gauge = (name: string, help: string, value: () => number) => createGauge(metrics, name, help, value);
  gauge('agentgate_audit_witness_lag_seconds', 'For how long the newest checkpoint has been without a quorum', () =>
    policy ? witnesses.lagMs() / 1000 : 0,
  );
  gauge('agentgate_audit_witnessed_waiting', 'Calls that wait for witnesses of their decision', () => events.waiting);
  new Gauge({
    name: 'agentgate_audit_witness_up',
    help: 'Whether a witness cosigned when it was asked last',
    labelNames: ['witness'],
    registers: [metrics],
    collect() {
      for (const { witness, problem } of witnesses.problems()) this.set({ witness }, problem === undefined ? 1 : 0);
    },
  });
  if (policy) health.check('witnesses', witnesses.health);

  return {
    cosign: policy ? witnesses.cosign : undefined,
    onAppended: events.onAppended,
    serve: () => bus.serveLate(auditWitnessed, ({ event, deadline }) => events.wait(event, deadline)),
    tick: () => {
      if (policy) witnesses.tick();
      return anomalies.splice(0);
    },
    close: witnesses.close,
  };
};
