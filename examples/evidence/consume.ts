import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import {
  createFollower,
  createKeyRing,
  type Edge,
  type EvidenceEvent,
  NOTE_ED25519,
  parseVkey,
  witnessPolicy,
} from '@agentgate/evidence';
import { DeliverPolicy, jetstream } from '@nats-io/jetstream';
import { connect, credsAuthenticator } from '@nats-io/transport-node';

/** An event of the log that a verified checkpoint covers. Its index is its identity: whoever gets one twice may drop it by that. */
export interface Delivered {
  index: number;
  event: EvidenceEvent;
}

export interface ConsumeOptions {
  servers: string;
  /** A credentials file of an auditor. */
  creds: string;
  /** The log's key, and the witnesses whose cosignatures are asked for: all of them. */
  vkey: string;
  witnesses?: string[];
  /** `trust.json`: the producers' keys. */
  trust: string;
  /** Where the place in the stream is remembered: written only once everything before it was delivered. */
  position: string;
  /** Resolves once the other side has these for good. A rejection ends the consumer; the next one begins with them again. */
  deliver(entries: readonly Delivered[]): Promise<void>;
  signal: AbortSignal;
}

/** Entries are held back until a checkpoint covers them, so there must be an end to how many. */
const maxWaiting = 100_000;

/** Follows stream EVIDENCE, verifies each entry and checkpoint, and delivers what holds, at least once and in order. */
export const consume = async (options: ConsumeOptions): Promise<void> => {
  const { servers, creds, position, deliver, signal } = options;
  const { seq, edge } = readPosition(position);
  const follower = createFollower({ ...trustOf(options), ...(edge && { from: edge }) });
  const user = credsAuthenticator(readFileSync(creds));
  // NATS lets each user hear its own inboxes only.
  const connection = await connect({
    servers,
    authenticator: user,
    inboxPrefix: `_INBOX_${nameIn(creds)}`,
    maxReconnectAttempts: -1,
  });
  try {
    const consumer = await jetstream(connection).consumers.get('EVIDENCE', {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: seq + 1,
    });
    const messages = await consumer.consume();
    signal.addEventListener('abort', () => messages.stop(), { once: true });
    if (signal.aborted) messages.stop();
    let waiting: Delivered[] = [];
    for await (const message of messages) {
      if (message.subject !== 'evidence.v1.checkpoint') {
        const index = Number(message.headers?.get('Ag-Index'));
        const leafHash = message.headers?.get('Ag-Leaf-Hash') ?? '';
        const verdict = follower.entry({ text: message.string(), index, leafHash });
        if (!verdict.ok) throw new Error(verdict.reason);
        if (verdict.misplaced !== undefined) console.error(`entry ${index}: ${verdict.misplaced}`);
        waiting.push({ index, event: verdict.event });
        if (waiting.length > maxWaiting) throw new Error(`no checkpoint covers ${maxWaiting} entries`);
        continue;
      }
      const verdict = follower.checkpoint(message.string());
      // Witnesses may be late: a later checkpoint covers these entries, too.
      if (!verdict.ok && verdict.code === 'TOO_FEW_WITNESSES') continue;
      if (!verdict.ok) throw new Error(verdict.reason);
      if (waiting.length > 0) await deliver(waiting);
      waiting = [];
      writePosition(position, { seq: message.seq, edge: verdict.edge });
    }
  } catch (error) {
    // Told to stop in the middle of a delivery: the next run begins with it again.
    if (!signal.aborted) throw error;
  } finally {
    await connection.close();
  }
};

const trustOf = ({ vkey, witnesses = [], trust }: ConsumeOptions) => {
  const key = parseVkey(vkey, NOTE_ED25519);
  const { keys } = JSON.parse(readFileSync(trust, 'utf8')) as { keys: { service: string; public_key: string }[] };
  return {
    origin: key.name,
    logKeys: [key],
    keys: createKeyRing(
      keys.map(({ service, public_key }) => ({ signer: `agentgate/${service}/`, publicKey: public_key })),
    ),
    witnesses: witnesses.length === 0 ? undefined : witnessPolicy({ vkeys: witnesses, quorum: witnesses.length }),
  };
};

/** The user's name in a credentials file: the one that its token was made for. */
const nameIn = (creds: string): string => {
  const token = /-----BEGIN NATS USER JWT-----\s+(\S+)/.exec(readFileSync(creds, 'utf8'))?.[1] ?? '';
  return (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { name: string }).name;
};

const readPosition = (file: string): { seq: number; edge?: Edge } => {
  if (!existsSync(file)) return { seq: 0 };
  const { seq, size, hashes } = JSON.parse(readFileSync(file, 'utf8')) as {
    seq: number;
    size: number;
    hashes: string[];
  };
  return { seq, edge: { size, hashes: hashes.map((hash) => Buffer.from(hash, 'base64')) } };
};

/** A crash leaves the old position or the new one, never half of it. */
const writePosition = (file: string, { seq, edge: { size, hashes } }: { seq: number; edge: Edge }): void => {
  const handle = openSync(`${file}.new`, 'w', 0o600);
  writeSync(handle, JSON.stringify({ seq, size, hashes: hashes.map((hash) => Buffer.from(hash).toString('base64')) }));
  fsyncSync(handle);
  closeSync(handle);
  renameSync(`${file}.new`, file);
};
