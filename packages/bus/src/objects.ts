import { AgentGateError } from '@agentgate/contracts';
import type { JetStreamClient } from '@nats-io/jetstream';
import { type ObjectStore, Objm } from '@nats-io/obj';
import type { Core } from './core.ts';

/** A JetStream object store (ADR-20) whose objects are written once: nothing in it changes or goes. */
export interface Objects {
  /** Undefined where there is none of that name. What came differs from what was stored: it rejects. */
  get(name: string): Promise<Uint8Array | undefined>;
  /** Resolves once it is stored; one that is there already stays as it is. */
  put(name: string, bytes: Uint8Array): Promise<void>;
}

/** An object of some MiB on a busy server. */
const transferMs = 10_000;

export const openObjects = (core: Core, js: JetStreamClient, name: string): Objects => {
  const opened: { store?: Promise<ObjectStore> } = {};
  const store = () => {
    opened.store ??= new Objm(js).open(name, false);
    opened.store.catch(() => {
      delete opened.store;
    });
    return opened.store;
  };
  const failed = (why: string, cause?: unknown) =>
    new AgentGateError('INTERNAL', `object store ${name} ${why}`, { cause });
  /** The client's own streams wait for ever where the server falls silent in their middle. */
  const within = async <T>(work: (store: ObjectStore) => Promise<T>): Promise<T> => {
    if (!core.connected()) throw failed('cannot be reached: not connected to NATS');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(failed(`did not answer within ${transferMs} ms`)), transferMs);
    });
    try {
      return await Promise.race([store().then(work), late]);
    } catch (cause) {
      throw cause instanceof AgentGateError ? cause : failed(`failed: ${(cause as Error).message}`, cause);
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    get: (object) => within(async (objects) => (await objects.getBlob(object)) ?? undefined),
    put: (object, bytes) =>
      within(async (objects) => {
        // Writing over an object would purge its old parts, which no service may.
        if (await objects.info(object)) return;
        try {
          await objects.putBlob({ name: object }, bytes, { previousRevision: 0 });
        } catch (error) {
          // Somebody else wrote the same at the same time.
          if (!(await objects.info(object))) throw error;
        }
      }),
  };
};
