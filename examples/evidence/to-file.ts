import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { consume, type Delivered } from './consume.ts';
import { readOptions } from './options.ts';

const { to, ...options } = readOptions('FILE');

/** Cuts off what a crash left of a line; gives the index of the last whole one. */
const lastIn = (file: string): number => {
  if (!existsSync(file)) return -1;
  const text = readFileSync(file, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  const handle = openSync(file, 'r+');
  ftruncateSync(handle, Buffer.byteLength(whole));
  closeSync(handle);
  const line = whole.trimEnd().split('\n').at(-1);
  return line ? (JSON.parse(line) as Delivered).index : -1;
};

let last = lastIn(to);
const file = openSync(to, 'a', 0o600);
await consume({
  ...options,
  deliver: async (entries) => {
    const fresh = entries.filter(({ index }) => index > last);
    if (fresh.length === 0) return;
    writeSync(file, fresh.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
    fsyncSync(file);
    last = fresh.at(-1)?.index ?? last;
  },
});
