import { EvidenceError, type Failure, failure } from './error.ts';
import { leafHash, leafHashes } from './hash.ts';
import type { KeyRing, SigningKey } from './keys.ts';
import { levelsRoot, pathInLevels, rootFromBase64, treeLevels } from './merkle.ts';
import type { SealCache } from './seal-cache.ts';

/** What makes one leaf of a signed batch verify alone (PROTOCOL.md, "Auditors"). */
export interface Seal {
  readonly keyid: string;
  /** The RFC 6962 root over the batch's leaf hashes, lowercase hex, here and in the signed text alike. */
  readonly root: string;
  readonly index: number;
  readonly size: number;
  /** The leaf's inclusion path, each hash in base64. */
  readonly path: string[];
  /** Ed25519 over the signed text, base64. */
  readonly sig: string;
}

/** What a batch's signature is for. The first line names the signer: the event's source, the permit's issuer. */
export interface SealScope {
  /** Keeps a signature made for one purpose from serving another. */
  readonly domain: string;
  readonly lines: readonly string[];
}

export const EVENT_SEAL_DOMAIN = 'agentgate-seal-v1';
export const PERMIT_SEAL_DOMAIN = 'agentgate-permit-v1';
export const MAX_SEAL_SIZE = 65_536;

export type SealFailureCode = 'MALFORMED' | 'BAD_PATH' | 'UNKNOWN_KEY' | 'BAD_SIGNATURE';
export type SealVerdict = { readonly ok: true } | Failure<SealFailureCode>;

export interface SignedRoot {
  readonly keyid: string;
  readonly size: number;
  readonly root: string;
  readonly sig: string;
}

interface Trust {
  readonly keys: KeyRing;
  readonly cache?: SealCache;
}

const MAX_LINES = 8;
const MAX_LINE_LENGTH = 512;
const MAX_PATH_LENGTH = 16;
const KEYID = /^[0-9a-f]{16}$/;
const ROOT_HEX = /^[0-9a-f]{64}$/;
// The last character is restricted so that a hash or signature has exactly one spelling.
const HASH_BASE64 = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;
const SIGNATURE_BASE64 = /^[A-Za-z0-9+/]{85}[AQgw]==$/;
const SEAL_FIELDS = ['index', 'keyid', 'path', 'root', 'sig', 'size'];

/**
 * Signs all leaves at once and gives each its own seal, in order. Leaves are canonical texts.
 * Throws MALFORMED for a scope that cannot be signed unambiguously, TOO_LARGE beyond 65,536 leaves.
 */
export function sealBatch(batch: SealScope & { readonly leaves: readonly string[]; readonly key: SigningKey }): Seal[] {
  const { leaves, key, domain, lines } = batch;
  const levels = treeLevels(leafHashes(leaves));
  const root = toHex(levelsRoot(levels));
  const signed = signRoot({ domain, lines, size: leaves.length, root, key });
  return sealsOf(signed, levels);
}

/** The seals of all leaves under one signed root, whose tree the caller has at hand. */
export function sealsOf(signed: SignedRoot, levels: readonly (readonly Uint8Array[])[]): Seal[] {
  const { keyid, root, size, sig } = signed;
  const nodes = levels.map((level) => level.map(toBase64));
  return Array.from({ length: size }, (_, index) => ({
    index,
    keyid,
    path: pathInLevels(nodes, index),
    root,
    sig,
    size,
  }));
}

export function signRoot(
  batch: SealScope & { readonly size: number; readonly root: string; readonly key: SigningKey },
): SignedRoot {
  const { key, size, root } = batch;
  const wrong = scopeFault(batch);
  if (wrong) throw new EvidenceError('MALFORMED', wrong);
  if (size < 1) throw new EvidenceError('MALFORMED', 'a batch holds at least one leaf');
  if (size > MAX_SEAL_SIZE) throw new EvidenceError('TOO_LARGE', `a batch holds at most ${MAX_SEAL_SIZE} leaves`);
  return { keyid: key.keyid, size, root, sig: toBase64(key.sign(Buffer.from(signedText(batch)))) };
}

/**
 * Whether this leaf was sealed by a trusted key for exactly this scope. Everything in `seal` and in the scope's lines
 * may come from an attacker; `domain` is the verifier's own.
 */
export function verifySeal(claim: SealScope & Trust & { readonly leaf: string; readonly seal: unknown }): SealVerdict {
  const { leaf, seal } = claim;
  const fault = sealFault(seal);
  if (fault) return failure('MALFORMED', fault);
  if (!leaf.isWellFormed()) return failure('MALFORMED', 'the leaf holds a lone surrogate');
  const { index, size, path, root, keyid, sig } = seal as Seal;
  const found = rootFromBase64({ leaf: leafHash(leaf), index, size, path });
  if (!found) return failure('BAD_PATH', `the path is not one of leaf ${index} of ${size}`);
  if (toHex(found) !== root) return failure('BAD_PATH', 'the path does not lead to the root');
  return verifySigned(claim, { keyid, size, root, sig });
}

/** Whether a trusted key signed this root for this scope. */
export function verifyRoot(claim: SealScope & Trust & SignedRoot): SealVerdict {
  const fault = rootFault(claim);
  return fault ? failure('MALFORMED', fault) : verifySigned(claim, claim);
}

/** The rest of it for a root that is in form. */
function verifySigned(claim: SealScope & Trust, { keyid, size, root, sig }: SignedRoot): SealVerdict {
  const fault = scopeFault(claim);
  if (fault) return failure('MALFORMED', fault);
  const { domain, lines, keys, cache } = claim;
  // The ring is asked before the cache: a key that was taken out of it no longer vouches for anything.
  const signer = lines[0] as string;
  const key = keys.find(keyid, signer);
  if (!key || key.keyid !== keyid) return failure('UNKNOWN_KEY', `no key ${keyid} of ${signer}`);
  const text = signedText({ domain, lines, size, root });
  // All that the signature binds, and the key itself; the first two have fixed alphabets, so nothing can be shifted.
  const verified = `${key.publicKey}\n${sig}\n${text}`;
  if (cache?.has(verified)) return { ok: true };
  if (!key.verify(Buffer.from(text), fromBase64(sig))) {
    return failure('BAD_SIGNATURE', `not signed by key ${keyid} for this ${domain}`);
  }
  cache?.add(verified);
  return { ok: true };
}

/** No line holds a newline, so a text has one reading: the domain, the lines, the size, the root. */
function signedText({ domain, lines, size, root }: SealScope & { size: number; root: string }): string {
  return `${domain}\n${lines.join('\n')}\n${size}\n${root}\n`;
}

function scopeFault({ domain, lines }: SealScope): string | undefined {
  if (lines.length < 1 || lines.length > MAX_LINES) return `a scope has 1 to ${MAX_LINES} lines`;
  return isLine(domain) && lines.every(isLine)
    ? undefined
    : `a line is 1 to ${MAX_LINE_LENGTH} characters, well-formed, without control characters`;
}

function isLine(line: unknown): boolean {
  return (
    typeof line === 'string' &&
    line.length >= 1 &&
    line.length <= MAX_LINE_LENGTH &&
    line.isWellFormed() &&
    !hasControl(line)
  );
}

/** What \p{Cc} matches, at a fifth of its cost: two lines are looked at for each leaf. */
function hasControl(line: string): boolean {
  for (let i = 0; i < line.length; i++) {
    const unit = line.charCodeAt(i);
    if (unit < 0x20 || (unit >= 0x7f && unit < 0xa0)) return true;
  }
  return false;
}

function sealFault(seal: unknown): string | undefined {
  if (typeof seal !== 'object' || seal === null || Array.isArray(seal)) return 'the seal is not an object';
  const fields = Object.keys(seal);
  if (fields.length !== SEAL_FIELDS.length || !fields.every((field) => SEAL_FIELDS.includes(field)))
    return `the seal has other fields than ${SEAL_FIELDS}`;
  const { index, size, path } = seal as Record<keyof Seal, unknown>;
  const fault = rootFault(seal as Record<keyof Seal, unknown>);
  if (fault) return fault;
  if (!Number.isInteger(index) || (index as number) < 0) return 'index is not a whole number';
  if ((index as number) >= (size as number)) return 'index is not below size';
  if (!Array.isArray(path) || path.length > MAX_PATH_LENGTH)
    return `path is not an array of at most ${MAX_PATH_LENGTH}`;
  return path.every((hash) => matches(hash, HASH_BASE64))
    ? undefined
    : 'path holds something else than hashes in base64';
}

function rootFault({ keyid, root, size, sig }: Record<keyof SignedRoot, unknown>): string | undefined {
  if (!matches(keyid, KEYID)) return 'keyid is not 16 hex digits';
  if (!matches(root, ROOT_HEX)) return 'root is not 64 hex digits';
  if (!matches(sig, SIGNATURE_BASE64)) return 'sig is not 64 bytes in base64';
  const whole = Number.isInteger(size) && (size as number) >= 1 && (size as number) <= MAX_SEAL_SIZE;
  return whole ? undefined : `size is not 1 to ${MAX_SEAL_SIZE}`;
}

function matches(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value);
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

function fromBase64(text: string): Buffer {
  return Buffer.from(text, 'base64');
}
