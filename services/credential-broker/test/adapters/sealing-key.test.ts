import { createCurveKey } from '@agentgate/bus';
import { expect, test } from 'vitest';
import { createSealingKey } from '../../src/adapters/sealing-key.ts';

test('only the recipient opens the box, and only as from this broker', () => {
  const [broker, runner, other] = [createSealingKey(), createCurveKey(), createCurveKey()];
  const box = Buffer.from(broker.seal(Buffer.from('secret'), runner.publicKey), 'base64');
  expect(Buffer.from(runner.open(box, broker.publicKey)).toString()).toBe('secret');
  expect(() => other.open(box, broker.publicKey)).toThrow();
  expect(() => runner.open(box, other.publicKey)).toThrow();
});

test('refuses a recipient that is no curve key', () => {
  const { publicKey } = createCurveKey();
  const mistyped = `${publicKey.slice(0, -1)}${publicKey.endsWith('A') ? 'B' : 'A'}`;
  for (const recipient of ['', 'X', `X${'A'.repeat(55)}`, mistyped]) {
    expect(() => createSealingKey().seal(Buffer.from('secret'), recipient)).toThrow(
      expect.objectContaining({ code: 'FIELD_INVALID' }),
    );
  }
});
