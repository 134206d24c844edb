import type { KillReceipt } from '@agentgate/contracts';
import { canonical, type SigningKey } from '@agentgate/evidence';

const domain = 'agentgate-receipt-v1\n';
/** So many calls fit into one event of evidence, whatever else the receipt says. */
export const callsAnEvent = 400;

export type Unsigned = Omit<KillReceipt, 'signature'>;

/** The bytes that the signature is over. */
const receiptBytes = (receipt: Unsigned): Uint8Array => Buffer.from(domain + canonical(receipt), 'utf8');

export const signReceipt = (receipt: Unsigned, key: Pick<SigningKey, 'sign'>): KillReceipt => ({
  ...receipt,
  signature: Buffer.from(key.sign(receiptBytes(receipt))).toString('base64'),
});

/** The receipt as evidence: itself, or, where it names more calls than one event holds, several receipts that name some each, every one signed. */
export const receiptParts = (receipt: KillReceipt, key: Pick<SigningKey, 'sign'>): KillReceipt[] => {
  if (receipt.calls.length <= callsAnEvent) return [receipt];
  const { signature: _, ...whole } = receipt;
  const parts: KillReceipt[] = [];
  for (let i = 0; i < whole.calls.length; i += callsAnEvent)
    parts.push(signReceipt({ ...whole, calls: whole.calls.slice(i, i + callsAnEvent) }, key));
  return parts;
};
