import type { Code } from '@agentgate/contracts';
import type { Credential } from './credential.ts';

// What the runner asks of a tool server, whichever way it is reached.

/** A tool as its server describes it. */
export interface ListedTool {
  name: string;
  description: string;
  inputSchema: Record<string, unknown>;
  annotations: Record<string, unknown>;
}

export interface UpstreamCall {
  /** The call's id, for servers that can be told to stop it. */
  call: string;
  tool: string;
  arguments: Record<string, unknown>;
  /** Of an MCP call (`_meta`): what goes beside the arguments. */
  meta?: Record<string, string>;
  /** Milliseconds since the epoch. */
  deadline: number;
}

/** How a call that was sent ended, as far as its server lets us know. */
export type UpstreamEnd =
  | { kind: 'result'; result: unknown }
  /** The server answered that it failed. */
  | { kind: 'error'; reason: string }
  /** The server confirmed that it stopped and will not act any more. */
  | { kind: 'stopped' }
  /** It was not handed over: nothing ran. */
  | { kind: 'not_sent'; code: Code; reason: string }
  /** It was handed over, and no answer will come: it may have run. */
  | { kind: 'lost'; reason: string };

export interface Dispatch {
  /** Settles once and never rejects. */
  ended: Promise<UpstreamEnd>;
  /** Tells the server to stop. Whether it did shows in `ended`, if at all. */
  stop(reason: string): void;
  /** Nobody waits for this call any more: forget it. */
  abandon(): void;
}

/** A way to the server for one call. */
export interface Channel {
  /** Hands the call over before it returns: the caller's last look at the kill view holds. */
  send(call: UpstreamCall): Dispatch;
  /** The call is over. What was opened for it alone ends; with it every copy of its secret. */
  release(): void;
}

/** The credential that a call brings, and the lease that it belongs to. */
export interface LeasedCredential {
  lease: string;
  credential: Credential;
  /** The lease outlives the call: what was opened with it is kept for the session's next one, until `forget`. */
  reuse: boolean;
}

/** How the list of a server is read that tells it to nobody without a credential: with a lease of its own, under policy's permit for just that. */
export interface Listing {
  lease(): Promise<LeasedCredential>;
  release(leased: LeasedCredential): void;
}

/** One server of agentgate.yaml. Its failures are its own: no other server waits for it. */
export interface Upstream {
  readonly server: string;
  /**
   * Rejects or throws UPSTREAM_UNAVAILABLE. With a credential the channel carries it, and is used for this one call, or for its lease. What needs no
   * opening is there at once.
   */
  prepare(opts: { leased?: LeasedCredential | undefined; deadline: number }): Channel | Promise<Channel>;
  /** A lease is over, or its secret was changed: what was kept open with it ends now. */
  forget(lease: string): void;
  /** Hears of the tools when the server tells that they changed, and whenever they were listed. */
  onTools(tell: (tools: ListedTool[]) => void): void;
  /** While it has said that its tools changed and was not asked for them again: resolves once it was. */
  relisting(): Promise<void> | undefined;
  /** Why no call can go there now, or undefined. */
  problem(): string | undefined;
  /** Connects in the background and keeps connecting; resolves after the first attempt, however that ended. */
  start(): Promise<void>;
  close(): Promise<void>;
}
