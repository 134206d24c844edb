import { AgentGateError } from '@agentgate/contracts';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import type { Core } from './core.ts';
import { publishDurable } from './durable.ts';
import { type Follower, follow } from './follow.ts';

export interface BucketEntry {
  key: string;
  value: Uint8Array;
  revision: number;
  operation: 'PUT' | 'DEL' | 'PURGE';
}

export interface WriteOptions {
  /** Seconds after which the value goes by itself; the bucket must allow it (`allow_msg_ttl`). */
  keptS?: number | undefined;
  timeoutMs?: number;
}

/** A JetStream key-value bucket (ADR-8), with compare-and-set. Keys are of `A-Za-z0-9_=.-`. */
export interface Bucket {
  get(key: string): Promise<BucketEntry | undefined>;
  /** Throws WrongRevision when the key has a value. Resolves with the revision. */
  create(key: string, value: string): Promise<number>;
  /** Throws WrongRevision unless the key's revision is this one; 0 is that of a key without any. */
  update(key: string, value: string, revision: number, opts?: WriteOptions): Promise<number>;
  put(key: string, value: string): Promise<number>;
  purge(key: string): Promise<void>;
  /** Hands on every key's newest value, then each change; resolves once the present ones were handed on. */
  watch(onEntry: (entry: BucketEntry) => void): Promise<Follower>;
}

const writeMs = 2_000;

export const openBucket = (core: Core, js: JetStreamClient, jsm: JetStreamManager, name: string): Bucket => {
  let opened: Promise<KV> | undefined;
  const kv = () => {
    opened ??= new Kvm(js).open(name);
    opened.catch(() => {
      opened = undefined;
    });
    return opened;
  };
  const subject = (key: string) => `$KV.${name}.${key}`;
  const write = async (key: string, value: string, revision?: number, opts: WriteOptions = {}) => {
    const { seq } = await publishDurable(core, subject(key), value, {
      timeoutMs: opts.timeoutMs ?? writeMs,
      ...(revision !== undefined && { expectedLastSubjectSeq: revision }),
      ...(opts.keptS !== undefined && { headers: { 'Nats-TTL': `${opts.keptS}s` } }),
    });
    return seq;
  };
  const get = async (key: string): Promise<BucketEntry | undefined> => {
    try {
      const found = await (await kv()).get(key);
      return found ? { key, value: found.value, revision: found.revision, operation: found.operation } : undefined;
    } catch (cause) {
      throw new AgentGateError('INTERNAL', `bucket ${name} does not answer`, { cause });
    }
  };
  return {
    get,
    create: async (key, value) => {
      const before = await get(key);
      // A deleted key leaves a marker whose sequence the compare must name.
      return write(key, value, before && before.operation !== 'PUT' ? before.revision : 0);
    },
    update: write,
    put: (key, value) => write(key, value),
    purge: async (key) => {
      await publishDurable(core, subject(key), '', {
        timeoutMs: writeMs,
        headers: { 'KV-Operation': 'PURGE', 'Nats-Rollup': 'sub' },
      });
    },
    watch: (onEntry) =>
      follow(js, jsm, core.log, `KV_${name}`, {
        onMessage: (m) => {
          const operation = m.header('KV-Operation') ?? 'PUT';
          onEntry({
            key: m.subject.slice(`$KV.${name}.`.length),
            value: m.data,
            revision: m.seq,
            operation: operation === 'DEL' || operation === 'PURGE' ? operation : 'PUT',
          });
        },
      }),
  };
};
