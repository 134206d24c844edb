import { killReceipt } from '@agentgate/contracts';
import { canonical, generateSigningKey, verifyingKey } from '@agentgate/evidence';
import { expect, test } from 'vitest';
import { callsAnEvent, receiptParts, signReceipt, type Unsigned } from '../src/receipt.ts';
import { session } from './fakes.ts';

const key = generateSigningKey();
const unsigned = (calls = 0): Unsigned => ({
  v: 1,
  epoch: 7,
  scope: session(),
  ordered_at: '2026-03-01T12:00:00.000Z',
  contained: true,
  contained_in_ms: 4.2,
  points: [{ service: 'ingress', instance: 'i1', confirmed_in_ms: 1.9 }],
  calls: Array.from({ length: calls }, (_, i) => ({
    call: `call_${String(i).padStart(64, '0')}`,
    fate: 'aborted' as const,
  })),
  leases: { revoked: 0, irrevocable: [] },
  approvals: { voided: 0 },
});
const verifies = ({ signature, ...receipt }: { signature: string } & Unsigned) =>
  verifyingKey(key.publicKey).verify(
    Buffer.from(`agentgate-receipt-v1\n${canonical(receipt)}`),
    Buffer.from(signature, 'base64'),
  );

test('the signature is over the domain and the canonical form without the signature', () => {
  const receipt = killReceipt.parse(signReceipt(unsigned(), key));
  expect(verifies(receipt)).toBe(true);
  expect(verifies({ ...receipt, contained: false })).toBe(false);
});

test('a receipt of many calls becomes several signed receipts that name each call once and fit into an event', () => {
  const whole = signReceipt(unsigned(2 * callsAnEvent + 1), key);
  const parts = receiptParts(whole, key);
  expect(parts).toHaveLength(3);
  expect(parts.flatMap((p) => p.calls)).toEqual(whole.calls);
  for (const part of parts) {
    expect(verifies(part)).toBe(true);
    expect(Buffer.byteLength(canonical(part))).toBeLessThan(50_000);
  }
  expect(receiptParts(signReceipt(unsigned(callsAnEvent), key), key)).toHaveLength(1);
});
