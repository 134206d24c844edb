import { expect, test } from 'vitest';
import { createBodies, TooLarge, TooMany } from '../src/bodies.ts';

/** A body that comes as a test sends it. */
const slow = () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  return {
    body: readable as AsyncIterable<Uint8Array>,
    send: (text: string) => writer.write(Buffer.from(text)),
    end: () => writer.close(),
    fail: () => writer.abort(new Error('gone')),
  };
};
const all = (text: string) => [Buffer.from(text)] as never;
const bench = () => createBodies({ maxBytes: 10, maxHeldBytes: 15 });

test('reads a body whole, and none that is too large', async () => {
  const { body, send, end } = slow();
  const read = bench().read('U1', body);
  await send('hello');
  await send('world');
  await end();
  expect(Buffer.from(await read).toString()).toBe('helloworld');
  expect(await bench().read('U1', null)).toHaveLength(0);
  await expect(bench().read('U1', all('hello world'))).rejects.toThrow(TooLarge);
});

test('holds so much of one agent and no more, which costs no other anything', async () => {
  const bodies = bench();
  const [first, second] = [slow(), slow()];
  const reads = [bodies.read('U1', first.body), bodies.read('U1', second.body)];
  await first.send('12345678');
  await second.send('1234');
  await expect(bodies.read('U1', all('1234'))).rejects.toThrow(TooMany);
  expect(await bodies.read('U1', all('123'))).toHaveLength(3);
  expect(await bodies.read('U2', all('0123456789'))).toHaveLength(10);
  await Promise.all([first.end(), second.end()]);
  await Promise.all(reads);
  expect(await bodies.read('U1', all('0123456789'))).toHaveLength(10);
});

test('holds nothing of a client that left', async () => {
  const bodies = bench();
  const { body, send, fail } = slow();
  const read = bodies.read('U1', body);
  await send('12345678');
  await fail();
  await expect(read).rejects.toThrow('gone');
  expect(await bodies.read('U1', all('0123456789'))).toHaveLength(10);
});
