import {
  type Chain,
  type ChainItem,
  createAppender,
  createChain,
  EVENT_SEAL_DOMAIN,
  encodeEntries,
  formatNote,
  leafHash,
  type NoteSigner,
  noteVerifierKey,
  parseNote,
  type SigningKey,
  saltedDigest,
  sealBatch,
  sealedText,
  signCheckpoint,
  signCosignature,
  signingKeyFromSeed,
  TILE_WIDTH,
  tilePath,
  witnessVerifierKey,
} from '../../src/index.ts';
import { createRandom, type Random } from './random.ts';

// A whole deployment in small, by the protocol: producers that start, batch, pause, stop and change keys, one after the
// other sequenced into a log of any size. What it makes is what services publish and audit writes, without servers.

export interface Keys {
  log: SigningKey;
  witness: SigningKey;
  deployment: SigningKey;
}

export interface Deployment {
  readonly keys: Keys;
  /** Milliseconds since 1970. */
  now: number;
  /** Entries for the log, by the next producer whose turn it is. */
  more(): string[];
  /** Those that run. */
  readonly producers: Producer[];
  /** Entries of one batch, sealed with the producer's key or, by a forger, with another. */
  sealed(producer: Producer, items: readonly ChainItem[], key?: SigningKey): string[];
}

export interface Producer {
  readonly service: string;
  readonly chain: Chain;
  key: SigningKey;
}

export const origin = 'log.example/agentgate';
export const witnessName = 'witness.example/w1';
const services = ['ingress', 'policy', 'tool-runner', 'credential-broker', 'audit'];
const start = Date.UTC(2026, 0, 1);

const keyFrom = (random: Random): SigningKey => signingKeyFromSeed(random.bytes(32).toString('base64url'));
const iso = (time: number) => new Date(time).toISOString();

export const createDeployment = (random: Random, { maxBatch = 64 }: { maxBatch?: number } = {}): Deployment => {
  const keys = { log: keyFrom(random), witness: keyFrom(random), deployment: keyFrom(random) };
  const producers: Producer[] = [];
  let [ids, starts] = [0, 0];
  const id = (kind: string) => `${kind}_${String(++ids).padStart(10, '0')}`;
  const deployment: Producer = {
    service: 'deployment',
    chain: createChain({ source: 'agentgate/deployment/d1', epoch: 'd1' }),
    key: keys.deployment,
  };

  const sealed = (producer: Producer, items: readonly ChainItem[], key = producer.key): string[] => {
    const { source, epoch } = producer.chain;
    const leaves = items.map(({ text }) => text);
    const seals = sealBatch({ domain: EVENT_SEAL_DOMAIN, lines: [source, epoch], leaves, key });
    return leaves.map((text, i) => sealedText(text, seals[i] as never));
  };
  const keyEvent = (type: 'added' | 'revoked', service: string, key: SigningKey) =>
    deployment.chain.next({
      id: id('evt'),
      type: `agentgate.key.${type}.v1`,
      subject: service,
      time: iso(self.now),
      data: { service, keyid: key.keyid, key: key.publicKey },
    });
  const startProducer = (service: string, key: SigningKey): Producer => {
    const instance = `${service}-${++starts}`;
    const chain = createChain({ source: `agentgate/${service}/${instance}`, epoch: `e${starts}` });
    const producer = { service, chain, key };
    producers.push(producer);
    return producer;
  };
  const draft = (time: number) => {
    const call = id('call');
    const digest = random.next() < 0.1 ? saltedDigest(call, random.bytes(32).toString('base64url')) : undefined;
    const args = digest
      ? { arguments_digest: { sha256: digest.digest, salt: digest.salt, bytes: 17 } }
      : { arguments: { path: `/srv/${call}/é.txt`, content: 'x'.repeat(random.int(0, 200)) } };
    return {
      id: id('evt'),
      type: 'agentgate.call.decided.v1',
      subject: call,
      time: iso(time),
      tenant: 'default',
      agent: 'demo',
      session: 'ses_0000000001',
      data: { call, tool: 'filesystem/write_file', ...args, kill_epoch: 0 },
    };
  };
  const batch = (producer: Producer): string[] => {
    // A batch is some milliseconds old when it is sequenced, and producers' clocks differ by a second or two.
    const begun = self.now - random.int(0, 2_000);
    return sealed(
      producer,
      Array.from({ length: random.int(1, maxBatch) }, (_, i) => producer.chain.next(draft(begun + i))),
    );
  };
  const rotate = (service: string): string[] => {
    const fresh = keyFrom(random);
    const old = producers.find((each) => each.service === service)?.key as SigningKey;
    for (const each of producers) if (each.service === service) each.key = fresh;
    return sealed(deployment, [keyEvent('added', service, fresh), keyEvent('revoked', service, old)]);
  };
  const restart = (): string[] => {
    const old = producers.splice(random.int(0, producers.length - 1), 1)[0] as Producer;
    return batch(startProducer(old.service, old.key));
  };

  let hasBegun = false;
  const begin = (): string[] => {
    hasBegun = true;
    const items = [keyEvent('added', 'deployment', keys.deployment)];
    for (const service of services) {
      const { key } = startProducer(service, keyFrom(random));
      items.push(keyEvent('added', service, key));
    }
    return sealed(deployment, items);
  };
  const self: Deployment = {
    keys,
    now: start,
    producers,
    sealed,
    more: () => {
      if (!hasBegun) return begin();
      const chance = random.next();
      // Above the disorder within a batch, so that each producer's own clock never runs back.
      self.now += chance < 0.01 ? random.int(60_000, 86_400_000) : random.int(2_100, 4_000);
      if (chance > 0.99) return rotate(random.pick(services));
      return chance > 0.97 ? restart() : batch(random.pick(producers));
    },
  };
  return self;
};

/** The log's first `size` entries; `isWhole` adds the rest of the last batch. */
export function* entriesOf(
  deployment: Deployment,
  size: number,
  { isWhole = false }: { isWhole?: boolean } = {},
): Generator<string> {
  let made = 0;
  while (made < size) {
    for (const entry of deployment.more()) {
      if (made++ < size || isWhole) yield entry;
    }
  }
}

type Sink = (path: string, bytes: Uint8Array) => void;

/** Sequences entries into a log's files, but for its checkpoint. Flat memory, whatever their number. */
export const writeTiles = (entries: Iterable<string | Uint8Array>, sink: Sink): { size: number; root: Uint8Array } => {
  const appender = createAppender();
  let bundle: Uint8Array[] = [];
  let index = 0;
  const flush = () => {
    if (bundle.length === 0) return;
    sink(tilePath({ level: 'entries', index: index++, width: bundle.length }), encodeEntries(bundle));
    bundle = [];
  };
  for (const entry of entries) {
    const bytes = Buffer.from(entry);
    appender.push(leafHash(bytes));
    bundle.push(bytes);
    if (bundle.length < TILE_WIDTH) continue;
    flush();
    // Nothing is partial at level 0 here; higher partial tiles are written again, as a growing log does.
    for (const { tile, bytes: hashes } of appender.takeTiles()) sink(tilePath(tile), hashes);
  }
  flush();
  for (const { tile, bytes } of appender.takeTiles()) sink(tilePath(tile), bytes);
  return { size: appender.size, root: appender.root() };
};

export interface Signers {
  log: SigningKey;
  /** Undefined where no witness cosigns. */
  witness?: NoteSigner | undefined;
  /** Of the cosignature, in milliseconds. */
  time: number;
}

export const checkpointOf = (tree: { size: number; root: Uint8Array }, { log, witness, time }: Signers): string => {
  const note = signCheckpoint({ origin, ...tree }, log);
  if (!witness) return note;
  const { text, signatures } = parseNote(note);
  const cosignature = signCosignature(text, { ...witness, time: Math.ceil(time / 1000) });
  return formatNote({ text, signatures: [...signatures, cosignature] });
};

export type Files = Map<string, Uint8Array>;

/** A published log in memory. */
export const publish = (entries: Iterable<string | Uint8Array>, signers: Signers): Files => {
  const files: Files = new Map();
  const tree = writeTiles(entries, (path, bytes) => files.set(path, bytes));
  files.set('checkpoint', Buffer.from(checkpointOf(tree, signers)));
  return files;
};

export interface MadeLog {
  deployment: Deployment;
  entries: string[];
  files: Files;
  /** When it was published. */
  at: number;
}

export const makeLog = (seed: number, size: number, whole?: { isWhole: boolean }): MadeLog => {
  const deployment = createDeployment(createRandom(seed));
  const entries = [...entriesOf(deployment, size, whole)];
  const at = deployment.now + 1_000;
  return { deployment, entries, at, files: publish(entries, signersOf(deployment, at)) };
};

export const signersOf = ({ keys }: Deployment, time: number): Signers => ({
  log: keys.log,
  witness: { name: witnessName, key: keys.witness },
  time,
});

export const vkeysOf = ({ log, witness }: Keys) => ({
  log: noteVerifierKey(origin, log.publicKey),
  witness: witnessVerifierKey(witnessName, witness.publicKey),
});

/** A reading port over files in memory. */
export const readerOf =
  (files: ReadonlyMap<string, Uint8Array>) =>
  async (path: string, maxBytes: number): Promise<Uint8Array | undefined> =>
    files.get(path)?.subarray(0, maxBytes + 1);
