import { describe, expect, test } from 'vitest';
import { compiledPolicy } from '../../src/bundle/revision.ts';
import { createFactFinder } from '../../src/facts.ts';
import { explainCall } from '../../src/trial/explain.ts';
import type { RecordedCall } from '../../src/trial/recorded-calls.ts';
import { askedOf, inputOfRecorded, nothingRemembered } from '../../src/trial/trial.ts';
import { callsOf, decided, opened } from './events.ts';
import { revisionOf, worldWith } from './world.ts';

const explain = async (grants: string, call: Partial<RecordedCall> = {}, more = '') => {
  const revision = revisionOf(grants, more);
  const [recorded] = callsOf(opened(), decided());
  const one = { ...(recorded as RecordedCall), ...call };
  const { tools, policy } = revision.data.gate;
  const finder = createFactFinder({
    tools,
    policy: { ...policy, secrets: {} },
    secrets: [],
    memory: nothingRemembered,
  });
  const [found] = await finder.find([askedOf(one, worldWith())]);
  if (!found) throw new Error('nothing was found');
  const told = await explainCall(compiledPolicy(revision), {
    module: await WebAssembly.compile(revision.wasm),
    input: inputOfRecorded(one, found, worldWith()),
  });
  if ('fault' in told) throw new Error(told.fault);
  return told;
};
const grant = (id: string, effect: string, more = '') =>
  `  - { id: ${id}, to: { agents: [demo] }, tools: ["fs/*"], effect: ${effect}${more} }\n`;

describe('explainCall', () => {
  test('tells the grant that lets a call pass, and no remedy', async () => {
    const told = await explain(grant('a', 'allow'));
    expect(told).toMatchObject({
      decision: { action: 'allow', rule: 'a' },
      grants: [{ id: 'a', effect: 'allow', state: 'holds' }],
      remedies: [],
    });
  });

  test('names a deny as what stands in the way, and says that nothing overrides it', async () => {
    const { remedies, grants } = await explain(grant('a', 'allow') + grant('d', 'deny'));
    expect(remedies).toEqual(['the policy without grant d, which denies it; nothing overrides a deny']);
    expect(grants.map(({ id, state }) => [id, state])).toEqual([
      ['a', 'holds'],
      ['d', 'holds'],
    ]);
  });

  test('tells which argument would satisfy which condition, or which grant is missing', async () => {
    const { remedies } = await explain(grant('a', 'allow', ', where: { /path: { under: /home } }'));
    expect(remedies).toEqual([
      'an argument that satisfies /path under "/home" of grant a: it is outside',
      'a grant that lets agent demo of tenant default call fs/write with these arguments',
      'for a while: agentgate policy except add --agent demo --tool fs/write --for 10m --reason …',
    ]);
  });

  test('asks for an argument that can be judged where a deny cannot judge this one', async () => {
    const { remedies } = await explain(
      grant('a', 'allow') + grant('d', 'deny', ', where: { /path: { under: /etc } }'),
      { arguments: { path: '/srv/../etc' } },
    );
    expect(remedies).toEqual([
      'another argument, one that /path under "/etc" of grant d can judge: it holds a ".." segment',
    ]);
  });

  test('asks for a person’s word where a person decides', async () => {
    const { remedies } = await explain(grant('p', 'require_approval'));
    expect(remedies).toEqual(["a person's word: ask again with its approval once it is granted (agentgate approvals)"]);
  });

  test('tells what a pack refuses before what is missing besides, and no exception takes it back', async () => {
    const card = { path: '/srv/a', content: 'pay with 4111 1111 1111 1111' };
    const told = await explain(
      '  []',
      { arguments: card, exception: { id: 'exc_0000000001', owner: 'ann', until: 'then' } },
      'policy: { packs: [baseline, dlp] }',
    );
    expect(told.decision).toMatchObject({ action: 'deny', rule: 'dlp/card' });
    expect(told.exception).toEqual({ id: 'exc_0000000001', owner: 'ann', until: 'then' });
    expect(told.remedies[0]).toMatch(/^a call that dlp\/card does not refuse: /);
  });
});
