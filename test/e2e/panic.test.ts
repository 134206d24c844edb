import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCommand } from '../command.ts';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { testConfig } from '../fixtures/config.ts';
import { type Agent, openAgent } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

// The whole deployment stopped by one command, and started again by two people.

let stack: Stack;
let demo: Agent;
let evidence: EvidenceReader;

beforeAll(async () => {
  stack = await startStack({
    config: ({ probeLog }) => testConfig({ probeLog, more: 'operators: [ann]\ndual_control: [global]\n' }),
  });
  demo = await openAgent(stack);
  evidence = await readEvidence(stack);
});
afterAll(() => stack?.stop());

const run = (home: string, ...args: string[]) => createCommand(() => home).run(...args);

test('panic stops everything with nothing but the operator’s credentials, and asks where somebody can answer', async () => {
  const session = await demo.open();
  const nowhere = join(stack.dir, 'nowhere');
  const creds = join(stack.home, 'creds', 'ann.creds');
  const silent = await run(nowhere, 'panic', '--creds', creds, '--nats', stack.status.nats);
  expect(silent).toMatchObject({ code: 1, err: 'agentgate: nobody can be asked here: say --yes\n' });
  const stopped = await run(nowhere, 'panic', '--creds', creds, '--nats', stack.status.nats, '--yes');
  expect(stopped).toMatchObject({ code: 0, out: expect.stringMatching(/^contained: everything, epoch \d+/m) });
  expect(await demo.call(session, 'probe/echo', { text: 'after panic' })).toMatchObject({ code: 'KILLED_GLOBAL' });
  expect(stack.probe.starts('after panic')).toBe(0);
});

test('it is lifted by the second operator who asks, and by nobody alone', async () => {
  const lift = (...as: string[]) => run(stack.home, 'lift', 'global', '--reason', 'it was a drill', ...as);
  for (let i = 0; i < 2; i++)
    expect(await lift()).toMatchObject({ code: 1, out: expect.stringMatching(/^noted; a second operator/) });
  expect((await demo.ask('session', { v: 1 })).code).toBe('KILLED_GLOBAL');
  expect(await lift('--as', 'ann')).toMatchObject({ code: 0, out: expect.stringMatching(/^lifted/) });
  await demo.open();
  const [lifted] = await eventually('it is recorded', () => {
    const found = evidence.all('kill.lifted');
    return found.length > 0 && found;
  });
  expect(lifted?.data).toMatchObject({ by: 'ann', reason: 'it was a drill' });
  expect(evidence.all('kill.lift_asked').map(({ data }) => data.by)).toEqual(['operator', 'operator']);
});

test('an approver or an auditor cannot: what they may say does not reach that far', async () => {
  const creds = join(stack.home, 'creds', 'auditor.creds');
  expect((await run(stack.home, 'panic', '--creds', creds, '--nats', stack.status.nats, '--yes')).code).toBe(1);
  await demo.open();
});
