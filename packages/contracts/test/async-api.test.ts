import { describe, expect, test } from 'vitest';
import { asyncApi, eventData, jsonSchemas } from '../src/index.ts';

type Node = Record<string, unknown>;

/** What every `$ref` of the document itself points to. */
const refsOf = (root: Node): { ref: string; target: unknown }[] => {
  const found: { ref: string; target: unknown }[] = [];
  const walk = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return;
    const { $ref: ref } = value as Node;
    if (typeof ref === 'string') {
      const path = ref.replace('#/', '').split('/');
      found.push({ ref, target: path.reduce<unknown>((at, key) => (at as Node | undefined)?.[key], root) });
    }
    for (const inner of Object.values(value)) walk(inner);
  };
  walk(root);
  return found;
};

describe('the public protocol for programs', () => {
  test('bounds a call as ingress does', () => {
    expect(jsonSchemas()['agent.call.ask']).toMatchObject({
      type: 'object',
      properties: {
        v: { const: 1 },
        session: { pattern: '^ses_[A-Za-z0-9_-]{10,64}$' },
        key: { minLength: 1, maxLength: 128 },
      },
      required: ['v', 'session', 'tool', 'arguments'],
      additionalProperties: false,
    });
  });

  test('says that a cancel names its call by one of two fields', () => {
    expect(jsonSchemas()['agent.cancel.ask']).toMatchObject({
      required: ['v'],
      additionalProperties: false,
      oneOf: [{ required: ['call'] }, { required: ['key'] }],
    });
  });

  test('names each type of event, and no subject of the services', () => {
    const { channels } = asyncApi() as { channels: Record<string, { address: string | null; messages: Node }> };
    expect(Object.keys(channels.evidence?.messages ?? {})).toEqual(
      Object.keys(eventData).map((event) => `evidence.${event}`),
    );
    expect(channels['agent.call']?.address).toBe('agent.{name}.call');
    expect(channels['ops.kill']?.address).toBe('ops.{name}.kill');
    const addresses = Object.values(channels).map(({ address }) => address ?? '');
    expect(addresses.filter((address) => !/^(agent|ops|evidence)\.|^$/.test(address))).toEqual([]);
    expect(addresses.filter((address) => address.includes('.v1.') && !address.startsWith('evidence.'))).toEqual([]);
  });

  test('points to nothing that is not there', () => {
    const refs = refsOf(asyncApi());
    expect(refs.length).toBeGreaterThan(100);
    expect(refs.filter(({ target }) => target === undefined)).toEqual([]);
  });
});
