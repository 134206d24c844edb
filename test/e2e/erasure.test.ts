import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DisclosuresAnswer, operatorSubject, operatorVerbs } from '@agentgate/contracts';
import { matchesSaltedDigest } from '@agentgate/evidence';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCommand } from '../command.ts';
import { eventually } from '../eventually.ts';
import { type EvidenceReader, readEvidence } from '../evidence-reader.ts';
import { type Agent, openAgent } from '../parties.ts';
import { type Stack, startStack } from '../stack.ts';

// What is kept beside the log to open its digests, by the commands that people have.

let stack: Stack;
let demo: Agent;
let session: string;
let evidence: EvidenceReader;

beforeAll(async () => {
  stack = await startStack();
  demo = await openAgent(stack);
  session = await demo.open('the tests of erasing');
  evidence = await readEvidence(stack);
});
afterAll(() => stack?.stop());

const { run } = createCommand(() => stack.home, 90_000);
const told = (name: 'evidence.disclosed' | 'evidence.erased' | 'evidence.released') =>
  eventually(`${name} is in EVIDENCE`, () => evidence.all(name)[0]);
const disclosed = async (event: string): Promise<DisclosuresAnswer> => {
  const { out } = await run('--json', 'evidence', 'disclose', event);
  return JSON.parse(out) as DisclosuresAnswer;
};
/** Whether these bytes lie in any file of the audit service's. */
const isInFolder = (text: string): boolean => {
  const folder = join(stack.home, 'evidence');
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .some((each) => {
      const file = join(each.parentPath, each.name);
      // A journal may be gone since the folder was listed.
      return existsSync(file) && readFileSync(file).includes(text);
    });
};

test('what was too large for the log can be read, held, and erased for good, and every proof stays valid', {
  timeout: 300_000,
}, async () => {
  const secret = 'the-colour-of-the-bicycle-is-blue ';
  const text = secret.repeat(2_000);
  const reply = await demo.call(session, 'probe/echo', { text });
  const decided = reply.evidence?.decided ?? '';
  const { data } = await evidence.event('call.decided', decided);
  const { sha256 } = data.arguments_digest as { sha256: string };
  expect(data.arguments_digest).toEqual({ sha256, bytes: expect.any(Number) });

  const { status, disclosures } = await disclosed(decided);
  expect(status).toBe('kept');
  expect(disclosures).toMatchObject([{ field: 'arguments_digest', value: { text } }]);
  expect(matchesSaltedDigest({ text }, { salt: disclosures[0]?.salt ?? '', digest: sha256 })).toBe(true);
  expect((await told('evidence.disclosed')).data).toEqual({
    event: decided,
    fields: ['arguments_digest'],
    by: 'auditor',
  });
  expect(isInFolder(secret)).toBe(true);

  const held = await run('--json', 'evidence', 'legal-hold', 'add', '--session', session, '--reason', 'a case');
  const { hold } = JSON.parse(held.out) as { hold: string };
  const refused = await run('evidence', 'erase', decided, '--reason', 'asked for');
  expect(refused).toMatchObject({ code: 2, out: `nothing was erased: held by ${hold}\n` });
  expect((await run('evidence', 'legal-hold', 'list')).out).toContain(`${hold}  session ${session}`);
  expect((await disclosed(decided)).status).toBe('kept');
  expect(await run('evidence', 'legal-hold', 'release', hold, '--reason', 'closed')).toMatchObject({ code: 0 });

  const proof = join(stack.dir, 'before.proof');
  expect(await run('evidence', 'prove', decided, '--out', proof)).toMatchObject({ code: 0 });
  expect(await run('evidence', 'erase', decided, '--reason', 'asked for')).toMatchObject({ code: 0 });
  expect(isInFolder(secret)).toBe(false);
  expect(isInFolder(disclosures[0]?.salt ?? '')).toBe(false);
  expect(await disclosed(decided)).toEqual({ v: 1, status: 'erased', disclosures: [] });
  expect((await told('evidence.erased')).data).toEqual({
    scope: { kind: 'event', id: decided },
    events: 1,
    reason: 'asked for',
    by: 'operator',
  });
  expect(await told('evidence.released')).toMatchObject({ session, data: { hold, by: 'auditor', reason: 'closed' } });

  const { vkey } = stack.status.log;
  expect(await run('evidence', 'verify', proof, '--vkey', vkey)).toMatchObject({ code: 0 });
  expect(await run('evidence', 'verify')).toMatchObject({ code: 0 });
  const report = join(stack.dir, 'session.json');
  expect(await run('evidence', 'export', '--session', session, '--format', 'json', '--out', report)).toMatchObject({
    code: 0,
  });
  expect(await run('evidence', 'verify', report, '--vkey', vkey)).toMatchObject({ code: 0 });
});

test('a result is a salted digest whose salt is kept, and nothing else of it', async () => {
  const reply = await demo.call(session, 'probe/echo', { text: 'yes' });
  const completed = reply.evidence?.completed ?? '';
  const { data } = await evidence.event('call.completed', completed);
  const { disclosures } = await disclosed(completed);
  expect(disclosures).toEqual([{ field: 'result_digest', salt: expect.any(String) }]);
  const salted = { salt: disclosures[0]?.salt ?? '', digest: String(data.result_digest) };
  expect(matchesSaltedDigest(reply.result, salted)).toBe(true);
  expect((await run('evidence', 'query', '--call', reply.call ?? '', '--json')).out.trim().split('\n')).toHaveLength(2);
});

test('nobody does what is another role’s', async () => {
  const scope = { kind: 'session' as const, id: session };
  const event = 'evt_0123456789';
  for (const [user, verb] of [
    ['auditor', 'erase'],
    ['operator', 'hold'],
    ['operator', 'release-hold'],
    ['operator', 'disclosures'],
    ['approver', 'disclosures'],
    ['approver', 'erase'],
  ] as const) {
    const bus = await stack.connect(user);
    const ask = {
      v: 1 as const,
      ...(verb === 'disclosures'
        ? { event }
        : verb === 'release-hold'
          ? { hold: 'hold_0123456789', reason: 'r' }
          : { scope, reason: 'r' }),
    };
    const asked = bus.ask(operatorVerbs[verb] as never, ask as never, {
      subject: operatorSubject(user, verb),
      timeoutMs: 1_000,
    });
    await expect(asked, `${user} ${verb}`).rejects.toThrow();
  }
  expect(
    (await disclosed((await demo.call(session, 'probe/echo', { text: 'x' })).evidence?.completed ?? '')).status,
  ).toBe('kept');
});
