import { createConnection } from 'node:net';

/** One command to Redis as the user of `url`, by hand. Resolves with the first line of the answer; rejects with Redis' own refusal. */
export const redisCommand = (url: string, ...words: string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port, username, password } = new URL(url);
    const encode = (args: string[]) =>
      `*${args.length}\r\n${args.map((a) => `$${Buffer.byteLength(a)}\r\n${a}\r\n`).join('')}`;
    const socket = createConnection(Number(port), hostname);
    socket.setTimeout(5_000, () => socket.destroy(new Error('Redis does not answer')));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
      const [hello = '', answer] = text.split('\r\n');
      if (!hello.startsWith('+OK')) return socket.destroy(new Error(hello));
      if (answer === undefined || answer === '') return;
      socket.end();
      if (answer.startsWith('-')) reject(new Error(answer));
      else resolve(answer);
    });
    socket.on('error', reject);
    socket.write(encode(['AUTH', username, password]) + encode(words));
  });
