import { AgentGateError } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createLog } from '../src/log.ts';

const logged = (level: string | undefined, write: (log: ReturnType<typeof createLog>) => void) => {
  const lines: string[] = [];
  write(createLog({ service: 'policy', level }, { write: (line: string) => void lines.push(line) }));
  return lines.map((line) => JSON.parse(line) as { err?: { stack?: string } });
};
const lost = new AgentGateError('KILL_SWITCH_UNAVAILABLE', 'the view cannot be reached', {
  cause: new Error('connect ECONNREFUSED'),
});

test('a warning names its error and the causes, and shows no stack', () => {
  const [told] = logged(undefined, (log) => log.warn({ err: lost, retry_in_ms: 100 }, 'not usable'));
  expect(told).toMatchObject({
    level: 40,
    service: 'policy',
    msg: 'not usable',
    retry_in_ms: 100,
    err: {
      type: 'AgentGateError',
      code: 'KILL_SWITCH_UNAVAILABLE',
      message: 'the view cannot be reached: connect ECONNREFUSED',
    },
  });
  expect(told?.err).not.toHaveProperty('stack');
});

test('an error that has a code shows no stack, and one that nobody foresaw does', () => {
  const [foreseen, internal, unknown, fatal] = logged(undefined, (log) => {
    log.error({ err: lost }, 'm');
    log.error({ err: new AgentGateError('INTERNAL', 'internal error') }, 'm');
    log.error({ err: new TypeError('x is undefined') }, 'm');
    log.fatal({ err: new Error('broken') }, 'm');
  });
  expect(foreseen?.err).not.toHaveProperty('stack');
  for (const one of [internal, unknown, fatal]) expect(one?.err?.stack).toContain('log.test.ts');
});

test('every error shows its stack where the level is debug', () => {
  const [told] = logged('debug', (log) => log.warn({ err: lost }, 'm'));
  expect(told?.err?.stack).toContain('log.test.ts');
});

test('what is no error is written as it is', () => {
  expect(
    logged(undefined, (log) => {
      log.info('text');
      log.warn({ err: 'a text' }, 'm');
      log.warn({ why: 'w' }, 'm');
    }),
  ).toMatchObject([{ msg: 'text' }, { err: 'a text', msg: 'm' }, { why: 'w', msg: 'm' }]);
});
