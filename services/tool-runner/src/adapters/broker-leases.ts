import { type Bus, createCurveKey } from '@agentgate/bus';
import { AgentGateError, brokerLease, brokerRelease, runnerKeyText } from '@agentgate/contracts';
import type { SigningKey } from '@agentgate/evidence';
import type { Broker } from '../service.ts';

export interface BrokerLeases extends Broker {
  /** Waits for the releases that are under way. */
  settled(): Promise<void>;
}

/** Leases of the credential-broker. The secret comes sealed to a key that this process made at its start and keeps in memory. */
export const createBrokerLeases = ({
  bus,
  key,
  log,
}: {
  bus: Pick<Bus, 'batcher' | 'instance'>;
  key: SigningKey;
  log: { warn(fields: object, message: string): void };
}): BrokerLeases => {
  const curve = createCurveKey();
  const lease = bus.batcher(brokerLease);
  const release = bus.batcher(brokerRelease);
  const releasing = new Set<Promise<void>>();
  return {
    lease: async (permit, epoch) => {
      const named = { permit, runner: bus.instance, seal_to: curve.publicKey };
      const sig = Buffer.from(key.sign(Buffer.from(runnerKeyText(named)))).toString('base64');
      const answer = await lease({ ...named, sig, epoch });
      try {
        const secret = Buffer.from(curve.open(Buffer.from(answer.sealed, 'base64'), answer.broker_key)).toString(
          'utf8',
        );
        if (secret === '') throw new Error('it is empty');
        return { id: answer.lease, secret };
      } catch (cause) {
        throw new AgentGateError(
          'CREDENTIAL_UNAVAILABLE',
          'the lease that the credential-broker gave cannot be opened',
          { cause },
        );
      }
    },
    release: ({ id }, permit) => {
      const work: Promise<void> = release({ lease: id, permit: permit.claims.id })
        .then(() => undefined)
        // It ends by itself at its expiry; the broker sweeps.
        .catch((error: unknown) => log.warn({ err: error, lease: id }, 'a lease could not be released'))
        .finally(() => releasing.delete(work));
      releasing.add(work);
    },
    settled: async () => {
      await Promise.all(releasing);
    },
  };
};
