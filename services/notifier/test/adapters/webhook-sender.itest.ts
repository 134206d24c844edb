import type { LookupAddress } from 'node:dns';
import { createServer, type Socket } from 'node:net';
import { generate } from 'selfsigned';
import { Webhook } from 'standardwebhooks';
import { afterEach, describe, expect, test } from 'vitest';
import { type Resolve, systemResolve } from '../../src/adapters/checked-addresses.ts';
import { createSignatures } from '../../src/adapters/signatures.ts';
import { createWebhookSender } from '../../src/adapters/webhook-sender.ts';
import { endpointsOf, otherSecret, secret } from '../fixtures.ts';
import { type Receiver, startReceiver } from '../receiver.ts';

// Real servers; only what names mean is the test's own, where it says so.

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});
const receiverOf = async (tls?: { key: string; cert: string }): Promise<Receiver> => {
  const receiver = await startReceiver(tls);
  open.push(receiver);
  return receiver;
};

const allowed = { allow_private: true, allow_http: true };
const senderOf = (
  endpoint: object,
  { resolve = systemResolve, timeoutMs = 2_000, ca }: { resolve?: Resolve; timeoutMs?: number; ca?: string } = {},
) => {
  const endpoints = endpointsOf({ hook: endpoint });
  const environment = (name: string) =>
    ({ AGENTGATE_WEBHOOK_SECRET: secret, OLD: otherSecret, WEAK: 'whsec_aGk=' })[name];
  const sign = createSignatures({ endpoints, environment, log: { warn: () => {} } });
  const send = createWebhookSender({
    endpoints,
    sign,
    resolve,
    now: Date.now,
    timeoutMs,
    ...(ca !== undefined && { ca }),
  });
  return (closing = new AbortController().signal) =>
    send('hook', { id: 'hook/evt_0000000001', body: '{"type":"x"}' }, closing);
};
/** What each question in turn is answered. */
const names = (...answers: string[][]) => {
  const asked: string[] = [];
  const resolve: Resolve = async (host) => {
    const found = answers[Math.min(asked.length, answers.length - 1)] ?? [];
    asked.push(host);
    return found.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 }));
  };
  return { asked, resolve };
};
const failed = (problem: string) => ({ ok: false, problem });

describe('an alert', () => {
  test('arrives signed, and the library’s own verifier takes it', async () => {
    const receiver = await receiverOf();
    const send = senderOf({ url: `http://127.0.0.1:${receiver.port}/hook?a=b`, ...allowed });
    expect(await send()).toEqual({ ok: true });
    const [heard] = receiver.heard;
    expect(heard).toMatchObject({
      path: '/hook?a=b',
      headers: { 'webhook-id': 'hook/evt_0000000001', 'content-type': 'application/json' },
    });
    expect(new Webhook(secret).verify(heard?.body ?? '', heard?.headers ?? {})).toEqual({ type: 'x' });
    expect(() => new Webhook(otherSecret).verify(heard?.body ?? '', heard?.headers ?? {})).toThrow(
      'No matching signature',
    );
    expect(() => new Webhook(secret).verify(`${heard?.body} `, heard?.headers ?? {})).toThrow('No matching signature');
    expect(() =>
      new Webhook(secret).verify(heard?.body ?? '', { ...heard?.headers, 'webhook-id': 'hook/evt_0000000002' }),
    ).toThrow('No matching signature');
  });

  test('is signed with both secrets while one is rotated', async () => {
    const receiver = await receiverOf();
    const send = senderOf({ url: `http://127.0.0.1:${receiver.port}/`, previous_secret: { env: 'OLD' }, ...allowed });
    expect(await send()).toEqual({ ok: true });
    const [heard] = receiver.heard;
    for (const key of [secret, otherSecret]) new Webhook(key).verify(heard?.body ?? '', heard?.headers ?? {});
    expect(heard?.headers['webhook-signature']?.split(' ')).toHaveLength(2);
  });

  test.each([
    ['WEAK', 'alerts/endpoints/hook/secret is not whsec_ and 24 to 64 bytes in base64'],
    ['ABSENT', 'alerts/endpoints/hook/secret is empty or not set'],
  ])('does not leave where its secret is %s', async (variable, problem) => {
    const receiver = await receiverOf();
    const send = senderOf({ url: `http://127.0.0.1:${receiver.port}/`, secret: { env: variable }, ...allowed });
    expect(await send()).toEqual(failed(problem));
    expect(receiver.heard).toEqual([]);
  });
});

describe('over TLS', () => {
  const certificate = () =>
    generate([{ name: 'commonName', value: 'hooks.example.com' }], {
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'hooks.example.com' }] }],
    });
  const { resolve } = names(['127.0.0.1']);

  test('it goes to the checked address under the URL’s own name, whose certificate is verified', async () => {
    const { private: key, cert } = await certificate();
    const receiver = await receiverOf({ key, cert });
    const url = `https://hooks.example.com:${receiver.port}/`;
    expect(await senderOf({ url, allow_private: true }, { resolve, ca: cert })()).toEqual({ ok: true });
    expect(receiver.heard[0]?.headers.host).toBe(`hooks.example.com:${receiver.port}`);
    expect(await senderOf({ url, allow_private: true }, { resolve })()).toEqual(
      failed('cannot be reached: DEPTH_ZERO_SELF_SIGNED_CERT'),
    );
    const other = url.replace('hooks', 'other');
    expect(await senderOf({ url: other, allow_private: true }, { resolve, ca: cert })()).toEqual(
      failed('cannot be reached: ERR_TLS_CERT_ALTNAME_INVALID'),
    );
    expect(receiver.heard).toHaveLength(1);
  });
});

describe('an address that is not on the public Internet', () => {
  const refusal = (address: string) =>
    failed(`its address ${address} is not on the public Internet, and allow_private does not say that it may be`);

  test.each([
    ['http://127.0.0.1:PORT/', '127.0.0.1'],
    ['http://2130706433:PORT/', '127.0.0.1'],
    ['http://0x7f.1:PORT/', '127.0.0.1'],
    ['http://[::1]:PORT/', '::1'],
    ['http://[::ffff:127.0.0.1]:PORT/', '::ffff:7f00:1'],
    ['http://[64:ff9b::7f00:1]:PORT/', '64:ff9b::7f00:1'],
    ['http://[::7f00:1]:PORT/', '::7f00:1'],
    ['http://10.1.2.3:PORT/', '10.1.2.3'],
    ['http://192.168.1.1:PORT/', '192.168.1.1'],
    ['http://172.16.0.1:PORT/', '172.16.0.1'],
    ['http://100.64.0.1:PORT/', '100.64.0.1'],
    ['http://169.254.1.1:PORT/', '169.254.1.1'],
    ['http://[fe80::1]:PORT/', 'fe80::1'],
    ['http://[fd00::1]:PORT/', 'fd00::1'],
    ['http://0.0.0.0:PORT/', '0.0.0.0'],
  ])('is refused: %s', async (url, address) => {
    const receiver = await receiverOf();
    const send = senderOf({ url: url.replace('PORT', String(receiver.port)), allow_http: true });
    expect(await send()).toEqual(refusal(address));
    expect(receiver.heard).toEqual([]);
  });

  test('is refused behind a name that the system resolves', async () => {
    const receiver = await receiverOf();
    for (const host of ['localhost', 'localhost.', 'LOCALHOST'])
      expect((await senderOf({ url: `http://${host}:${receiver.port}/`, allow_http: true })()).ok).toBe(false);
    expect(receiver.heard).toEqual([]);
  });

  test('is refused where it stands behind a name beside a public one', async () => {
    const receiver = await receiverOf();
    const { resolve } = names(['93.184.215.14', '127.0.0.1']);
    const send = senderOf({ url: `http://hooks.example.com:${receiver.port}/`, allow_http: true }, { resolve });
    expect(await send()).toEqual(refusal('127.0.0.1'));
    expect(receiver.heard).toEqual([]);
  });

  test('is not reached by a name that means another one a moment later', async () => {
    const receiver = await receiverOf();
    const { resolve, asked } = names(['192.0.2.1'], ['127.0.0.1']);
    // 192.0.2.1 leads nowhere; the second answer would be our receiver.
    const send = senderOf(
      { url: `http://hooks.example.com:${receiver.port}/`, ...allowed },
      { resolve, timeoutMs: 500 },
    );
    expect((await send()).ok).toBe(false);
    expect(asked).toEqual(['hooks.example.com']);
    expect(receiver.heard).toEqual([]);
    expect(await send()).toEqual({ ok: true });
  });

  test.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://[::ffff:a9fe:a9fe]/',
    'http://[fd00:ec2::254]/',
    'http://100.100.100.200/',
  ])('and serves a cloud’s metadata is refused also where private ones are allowed: %s', async (url) => {
    expect((await senderOf({ url, ...allowed })()) as { problem: string }).toMatchObject({
      ok: false,
      problem: expect.stringMatching(/^its address \S+ is one of a cloud's metadata service$/),
    });
  });
});

describe('a receiver', () => {
  test('that redirects is not followed, wherever it leads', async () => {
    const [first, second] = [await receiverOf(), await receiverOf()];
    for (const status of [301, 302, 307, 308]) {
      first.answer = (_, res) => void res.writeHead(status, { location: `http://127.0.0.1:${second.port}/` }).end();
      const send = senderOf({ url: `http://127.0.0.1:${first.port}/`, ...allowed });
      expect(await send()).toEqual(failed(`answered ${status}: redirects are not followed`));
    }
    expect(second.heard).toEqual([]);
  });

  test('that answers with an error is told from one that takes none any more', async () => {
    const receiver = await receiverOf();
    const send = senderOf({ url: `http://127.0.0.1:${receiver.port}/`, ...allowed });
    receiver.answer = (_, res) => void res.writeHead(500).end('S3CRET');
    expect(await send()).toEqual(failed('answered 500'));
    receiver.answer = (_, res) => void res.writeHead(410).end();
    expect(await send()).toEqual({ ...failed('answered 410: it takes no alerts any more'), gone: true });
  });

  test('that never answers is left after the deadline', async () => {
    const receiver = await receiverOf();
    receiver.answer = () => {};
    const send = senderOf({ url: `http://127.0.0.1:${receiver.port}/`, ...allowed }, { timeoutMs: 300 });
    expect(await send()).toEqual(failed('did not answer within 300 ms'));
  });

  test('that never greets is left after the deadline, too', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    open.push({
      close: async () => {
        for (const socket of sockets) socket.destroy();
        server.close();
      },
    });
    const { port } = server.address() as { port: number };
    for (const url of [`http://127.0.0.1:${port}/`, `https://127.0.0.1:${port}/`])
      expect(await senderOf({ url, ...allowed }, { timeoutMs: 300 })()).toEqual(failed('did not answer within 300 ms'));
  });

  test('whose name is never resolved is left after the deadline, and is asked about once at a time', async () => {
    let asked = 0;
    const resolve: Resolve = () => {
      asked++;
      return new Promise(() => {});
    };
    const send = senderOf({ url: 'https://hooks.example.com/' }, { resolve, timeoutMs: 300 });
    const problems = await Promise.all([send(), send(), send()]);
    expect(problems).toEqual(Array(3).fill(failed('did not answer within 300 ms')));
    expect(asked).toBe(1);
  });

  test.each([200, 500])(
    'that answers %d with a response without end is cut off, and its status stands',
    async (status) => {
      const receiver = await receiverOf();
      let sent = 0;
      let closed = false;
      receiver.answer = (_, res) => {
        res.writeHead(status);
        const more = () => {
          while (!closed && res.write(Buffer.alloc(16_384))) sent += 16_384;
        };
        res.on('drain', more).on('close', () => {
          closed = true;
        });
        more();
      };
      const send = senderOf({ url: `http://127.0.0.1:${receiver.port}/`, ...allowed });
      expect(await send()).toEqual(status === 200 ? { ok: true } : failed('answered 500'));
      await expect.poll(() => closed).toBe(true);
      expect(sent).toBeLessThan(32 * 1024 * 1024);
    },
  );

  test('that sends more headers than fit, or nonsense, or nobody, is a failure with a code', async () => {
    const receiver = await receiverOf();
    receiver.answer = (_, res) => void res.writeHead(200, { 'x-big': 'x'.repeat(32 * 1024) }).end();
    const send = senderOf({ url: `http://127.0.0.1:${receiver.port}/`, ...allowed });
    expect(await send()).toEqual(failed('cannot be reached: HPE_HEADER_OVERFLOW'));
    receiver.answer = (_, res) => void res.socket?.end('nonsense\r\n\r\n');
    expect(await send()).toMatchObject({ problem: expect.stringMatching(/^cannot be reached: HPE_/) });
    await receiver.close();
    expect(await send()).toEqual(failed('cannot be reached: ECONNREFUSED'));
  });
});

test('a try is broken off when the service ends', async () => {
  const receiver = await receiverOf();
  receiver.answer = () => {};
  const closing = new AbortController();
  const sent = senderOf({ url: `http://127.0.0.1:${receiver.port}/`, ...allowed })(closing.signal);
  await expect.poll(() => receiver.heard.length).toBe(1);
  closing.abort();
  expect((await sent).ok).toBe(false);
});
