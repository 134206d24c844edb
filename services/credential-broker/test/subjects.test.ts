import type { SubjectRecord } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createSubjects } from '../src/subjects.ts';
import { claimsOf, start } from './fixture.ts';
import { testSecrets } from './orders.ts';

const token = 'eyJ.the-token-of-ann.sig';

const createBench = (expiresAt = start + 60_000) => {
  const stored = new Map<string, SubjectRecord>();
  const clock = { at: start };
  let n = 0;
  const subjects = createSubjects({
    verify: async () => ({ person: 'ann', issuer: 'https://idp.test', expiresAt }),
    records: {
      create: async (id, record) => void stored.set(id, record),
      read: async (id) => stored.get(id),
    },
    secrets: testSecrets(),
    newId: () => `sub_${String(++n).padStart(20, '0')}`,
    now: () => clock.at,
  });
  const accept = () => subjects.accept({ tenant: 'default', agent: 'demo', subject_token: token });
  return { subjects, stored, clock, accept };
};

test('keeps the token encrypted, and gives it back for a permit that names this person', async () => {
  const { subjects, stored, accept } = createBench();
  const { id } = await accept();
  expect(JSON.stringify([...stored])).not.toContain('the-token-of-ann');
  const claims = claimsOf({ subject: { id, person: 'ann' } });
  expect(await subjects.personOf('crm', claims)).toEqual({ person: { id: 'ann', token }, expiresAt: start + 60_000 });
});

test.each([
  ['another agent', { agent: 'other' }],
  ['another tenant', { tenant: 'other' }],
  ['another person', { subject: { id: 'sub_00000000000000000001', person: 'bob' } }],
])('gives it to no permit of %s', async (_, change) => {
  const { subjects, accept } = createBench();
  const { id } = await accept();
  const claims = claimsOf({ subject: { id, person: 'ann' }, ...change });
  await expect(subjects.personOf('crm', claims)).rejects.toMatchObject({ code: 'POLICY_DENIED' });
});

test('gives none without a person, after its end, or from a record that was moved', async () => {
  const { subjects, stored, clock, accept } = createBench();
  const [one, two] = [await accept(), await accept()];
  await expect(subjects.personOf('crm', claimsOf())).rejects.toMatchObject({
    code: 'CREDENTIAL_UNAVAILABLE',
    message: 'credential crm needs a session that names a person',
  });
  stored.set(one.id, stored.get(two.id) as SubjectRecord);
  await expect(subjects.personOf('crm', claimsOf({ subject: { id: one.id, person: 'ann' } }))).rejects.toMatchObject({
    message: 'credential crm is for a person whose token cannot be read',
  });
  clock.at += 60_000;
  await expect(subjects.personOf('crm', claimsOf({ subject: { id: two.id, person: 'ann' } }))).rejects.toMatchObject({
    message: 'credential crm is for a person whose token has expired',
  });
});
