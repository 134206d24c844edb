import type { AgentClient } from '@agentgate/client';
import { expect, test, vi } from 'vitest';
import { createConnections } from '../src/connections.ts';

interface Fake extends AgentClient {
  isUp: boolean;
  isClosed: boolean;
}
const fakeClient = (): Fake => {
  const fake = {
    isUp: true,
    isClosed: false,
    connected: () => fake.isUp,
    close: async () => {
      fake.isClosed = true;
    },
  };
  return fake as unknown as Fake;
};

const bench = ({ max = 3 } = {}) => {
  let clock = 0;
  const opened: Fake[] = [];
  const connect = vi.fn(async (_token: string): Promise<AgentClient> => {
    const client = fakeClient();
    opened.push(client);
    return client;
  });
  const userOf = (token: string) => (token.startsWith('forged') ? undefined : `U${token}`);
  const connections = createConnections({ userOf, connect, monotonic: () => clock, max, idleMs: 1_000, refusedMs: 50 });
  return { connections, connect, opened, pass: (ms: number) => (clock += ms) };
};

test('opens one connection a token, however many ask at once', async () => {
  const { connections, connect } = bench();
  const [a, b] = await Promise.all([connections.of('one'), connections.of('one')]);
  expect(b).toBe(a);
  expect(await connections.of('two')).not.toBe(a);
  expect(connect.mock.calls).toEqual([['one'], ['two']]);
  expect(a).toMatchObject({ user: 'Uone' });
});

test('opens nothing for what is no token', async () => {
  const { connections, connect } = bench();
  await expect(connections.of('forged')).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  expect(connect).not.toHaveBeenCalled();
  expect(connections.size).toBe(0);
});

test('asks NATS anew for who lost its connection, and ends the old one', async () => {
  const { connections, opened, connect } = bench();
  await connections.of('one');
  (opened[0] as Fake).isUp = false;
  connect.mockRejectedValueOnce(new Error('revoked'));
  await expect(connections.of('one')).rejects.toThrow('revoked');
  expect(opened[0]?.isClosed).toBe(true);
});

test('does not try again at once what was refused', async () => {
  const { connections, connect } = bench();
  connect.mockRejectedValueOnce(new Error('refused'));
  await expect(connections.of('one')).rejects.toThrow('refused');
  await expect(connections.of('one')).rejects.toThrow('refused');
  expect(connect).toHaveBeenCalledTimes(1);
  await vi.waitFor(() => expect(connections.size).toBe(0));
  await connections.of('one');
  expect(connect).toHaveBeenCalledTimes(2);
});

test('has a bound, which costs those that are in nothing', async () => {
  const { connections } = bench({ max: 1 });
  const first = await connections.of('one');
  await expect(connections.of('two')).rejects.toMatchObject({ code: 'OVERLOADED' });
  expect(await connections.of('one')).toBe(first);
});

test('closes what nobody used for a while, and no other', async () => {
  const { connections, opened, pass } = bench();
  await connections.of('one');
  pass(900);
  await connections.of('two');
  pass(200);
  connections.sweep();
  expect(opened.map(({ isClosed }) => isClosed)).toEqual([true, false]);
  expect(connections.size).toBe(1);
  await connections.close();
  expect(opened.map(({ isClosed }) => isClosed)).toEqual([true, true]);
});
