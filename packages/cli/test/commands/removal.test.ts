import { AgentGateError } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { type RemovalSteps, removalReason, removeWholly } from '../../src/commands/removal.ts';
import { CliError } from '../../src/context.ts';

const who = { tenant: 'acme', name: 'busy' };
type Receipt = Awaited<ReturnType<RemovalSteps['kill']>>;
const receipt = (contained: boolean) => ({ contained }) as Receipt;

/** What is done, in its order; a step that is named here fails, as often as it says. */
const stepsThat = (fails: Partial<Record<keyof RemovalSteps, Error[]>>, contained: boolean[] = []) => {
  const done: string[] = [];
  const did = (step: keyof RemovalSteps, what: string = step) => {
    done.push(what);
    const error = fails[step]?.shift();
    if (error) throw error;
  };
  const steps: RemovalSteps = {
    strike: async () => did('strike'),
    kill: async (endsMs) => {
      did('kill', endsMs === undefined ? 'kill for good' : `kill for ${endsMs} ms`);
      return receipt(contained.shift() ?? true);
    },
    revoke: async () => did('revoke'),
    forget: async () => did('forget'),
    drop: () => did('drop'),
  };
  return { done, steps };
};
const orderly = ['strike', 'kill for 15000 ms', 'revoke', 'forget', 'drop'];

test('stops the agent while it is shut out, and ends its kill for whoever is given the name next', async () => {
  const { done, steps } = stepsThat({});
  expect(await removeWholly(who, steps)).toEqual(receipt(true));
  expect(done).toEqual(orderly);
});

test('lets the kill stand where a point did not confirm', async () => {
  const { done, steps } = stepsThat({}, [false, false]);
  expect(await removeWholly(who, steps)).toEqual(receipt(false));
  expect(done).toEqual(['strike', 'kill for 15000 ms', 'revoke', 'kill for good', 'forget', 'drop']);
});

const full = new Error('ENOSPC: no space left');
const silent = new AgentGateError('TIMEOUT', 'nats-server did not answer\nin time');
const nobody = new CliError('nobody is named operator');
const standing = ['strike', 'kill for 15000 ms', 'revoke', 'kill for good', 'forget', 'drop'];

test.each<[string, Partial<Record<keyof RemovalSteps, Error[]>>, string[], string]>([
  [
    'agents.json',
    { strike: [full] },
    standing,
    'striking it from agents.json failed (ENOSPC: no space left); it is stopped, and its kill stands until it is lifted',
  ],
  [
    'nats-server',
    { revoke: [silent] },
    standing,
    'revoking it at nats-server failed (TIMEOUT: nats-server did not answer\\nin time); it is stopped, and its kill stands until it is lifted',
  ],
  [
    'the kill',
    { kill: [nobody] },
    orderly,
    'killing it failed (nobody is named operator); it is shut out, but what it had in flight may go on',
  ],
  [
    'the record',
    { forget: [silent] },
    orderly,
    'taking its record away failed (TIMEOUT: nats-server did not answer\\nin time); it is stopped and shut out',
  ],
  [
    'the file',
    { drop: [full] },
    orderly,
    'deleting its credentials failed (ENOSPC: no space left); it is stopped and shut out',
  ],
  [
    'all',
    { strike: [full], kill: [nobody, nobody], revoke: [silent], forget: [full] },
    standing,
    'striking it from agents.json failed (ENOSPC: no space left), killing it failed (nobody is named operator), revoking it at nats-server failed (TIMEOUT: nats-server did not answer\\nin time), taking its record away failed (ENOSPC: no space left); it may run on',
  ],
])('where %s fails all else is done, and the error says what is left', async (_, fails, wanted, told) => {
  const { done, steps } = stepsThat(fails);
  const failing = removeWholly(who, steps);
  await expect(failing).rejects.toThrow(CliError);
  await expect(failing).rejects.toThrow(
    new CliError(`agent busy of tenant acme is not wholly removed: ${told}; agent rm again does the rest`),
  );
  expect(done).toEqual(wanted);
  // Said again, it does the rest.
  done.length = 0;
  expect(await removeWholly(who, steps)).toEqual(receipt(true));
  expect(done).toEqual(orderly);
});

test('does not say that it is stopped where only the kill that ends soon was ordered', async () => {
  const { steps } = stepsThat({ revoke: [silent] });
  let isFirst = true;
  const failing = removeWholly(who, {
    ...steps,
    kill: async () => {
      if (!isFirst) throw nobody;
      isFirst = false;
      return receipt(true);
    },
  });
  await expect(failing).rejects.toThrow(/killing it failed \(nobody is named operator\); it may run on;/);
});

test('shuts the agent out while the kill-switch does not answer yet', async () => {
  const { done, steps } = stepsThat({});
  const { promise: answered, resolve: answer } = Promise.withResolvers<Receipt>();
  const removal = removeWholly(who, { ...steps, kill: () => answered });
  await new Promise((resolve) => setTimeout(resolve));
  expect(done).toEqual(['strike', 'revoke']);
  answer(receipt(true));
  expect(await removal).toEqual(receipt(true));
});

test('says who killed the agent before and why, within the bound of a reason, and once', () => {
  expect(removalReason(undefined)).toBe('the agent was removed');
  const told = removalReason({ by: 'oskar', reason: 'it read what it should not' });
  expect(told).toBe('the agent was removed, and killed before by oskar: it read what it should not');
  expect(removalReason({ by: 'operator', reason: told })).toBe(told);
  for (const start of ['', 'x']) {
    const long = removalReason({ by: 'oskar', reason: start + '💥'.repeat(255) });
    expect([long.length, long.isWellFormed()]).toEqual([512, true]);
  }
});
