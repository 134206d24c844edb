import { expect, test } from 'vitest';
import { obligations, permitClaims } from '../src/index.ts';

test('what a permit is made of stands in canonical order, so that its text needs no sorting', () => {
  const { credential, rate_limits, redact } = obligations.shape;
  const parts = [permitClaims, obligations, credential.unwrap(), rate_limits.unwrap().element, redact.unwrap()];
  for (const { shape } of parts) {
    expect(Object.keys(shape).length).toBeGreaterThan(1);
    expect(Object.keys(shape)).toEqual(Object.keys(shape).sort());
  }
});
