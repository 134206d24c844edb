import { AgentGateError, operatorVerbs } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createAnswerPerson } from '../src/index.ts';

const bench = () => {
  const logged: [object, string][] = [];
  const observed: string[] = [];
  const answer = createAnswerPerson(
    { error: (fields, message) => void logged.push([fields, message]) },
    'olga could not be answered',
    (code) => void observed.push(code),
  );
  return { answer, logged, observed };
};
const subjectOf = (person: string) => operatorVerbs.kills.subject.replace('*', person);
const subject = subjectOf('olga');

test('a person gets the answer under the name in the subject', async () => {
  const { answer, logged, observed } = bench();
  expect(await answer(subject, (person) => ({ person }))).toEqual({ person: 'olga' });
  expect([logged, observed]).toEqual([[], ['OK']]);
});

test('a name that is none is nobody’s, and nothing is done for it', async () => {
  const { answer, observed } = bench();
  expect(await answer(subjectOf('Olga!'), () => expect.fail('was asked'))).toEqual({
    v: 1,
    status: 'invalid',
    code: 'MALFORMED',
    reason: 'subject: holds no name of a person',
  });
  expect(observed).toEqual(['MALFORMED']);
});

test('a refusal is told with its reason and is no fault to log', async () => {
  const { answer, logged, observed } = bench();
  const refused = answer(subject, () => Promise.reject(new AgentGateError('FIELD_INVALID', '/scope: is missing')));
  expect(await refused).toEqual({ v: 1, status: 'invalid', code: 'FIELD_INVALID', reason: '/scope: is missing' });
  expect([logged, observed]).toEqual([[], ['FIELD_INVALID']]);
});

test('an unknown error is logged, and the person hears nothing of it but INTERNAL', async () => {
  const { answer, logged, observed } = bench();
  const error = new Error('with details');
  expect(await answer(subject, () => Promise.reject(error))).toMatchObject({
    code: 'INTERNAL',
    reason: 'internal error',
  });
  expect(logged).toEqual([[{ err: error }, 'olga could not be answered']]);
  expect(observed).toEqual(['INTERNAL']);
});
