import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BrokerProcess, startBroker } from './broker-process.ts';
import { type Neighbours, secrets, startNeighbours } from './ground.ts';

let near: Neighbours;
let broker: BrokerProcess;

beforeAll(async () => {
  near = await startNeighbours();
  broker = await startBroker(near.ground, { CRM_SECRET: secrets.env });
});
afterAll(async () => {
  await broker?.kill('SIGKILL');
  await near?.stop();
});

/** The secret as it might stand somewhere: its bytes, hex, and base64 (either alphabet) at each of the three alignments. */
const disguises = (secret: string): string[] => {
  const bytes = Buffer.from(secret, 'utf8');
  const aligned = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
    // The characters at the ends also hold bits of the neighbours.
    return text.slice(shift === 0 ? 0 : 4, -4);
  });
  return [
    secret,
    bytes.toString('hex'),
    ...aligned,
    ...aligned.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ];
};

const filesUnder = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesUnder(join(dir, entry.name)) : entry.isFile() ? [join(dir, entry.name)] : [],
  );

test('it starts where the file of a credential is not there, and says once which', () => {
  const said = broker
    .output()
    .split('\n')
    .filter((line) => line.includes('absent.key'));
  expect(said.map((line) => JSON.parse(line))).toEqual([
    expect.objectContaining({
      level: 40,
      msg: expect.stringMatching(
        /^credential from-nowhere: its file \/\S+\/absent\.key does not exist; calls that need it/,
      ),
    }),
  ]);
});

test('no secret is in any stream, bucket, log, error, answer or message, in any spelling', async () => {
  const said: string[] = [];
  const tokens: string[] = [];
  const one = async (i: number) => {
    const credential = ['from-file', 'from-env', 'token', 'from-nowhere'][i % 4] as string;
    // Every ninth names a key that cannot be sealed to: errors after minting must be among it.
    const ask = near.ask(credential, {}, i % 9 === 0 ? `X${'A'.repeat(55)}` : undefined);
    try {
      const answer = await near.lease(ask);
      said.push(JSON.stringify(answer));
      if (credential === 'token') tokens.push(near.open(answer));
      if (i % 3 !== 0) said.push(JSON.stringify(await near.release(answer, ask)));
    } catch (error) {
      said.push(String((error as Error).stack), JSON.stringify(error));
    }
  };
  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 40 }, (_, i) => one(i)));
  for (const path of ['/jwks.json', '/metrics', '/healthz', '/readyz'])
    said.push(await (await fetch(`${broker.http}${path}`)).text());
  await broker.kill('SIGTERM');
  // Stopped, so that everything is on disk; the store is neither compressed nor encrypted.
  await near.ground.nats.stop();

  const sources = filesUnder(near.ground.dir).filter((file) => !file.endsWith('/file.key'));
  const stored = Buffer.concat(sources.map((file) => readFileSync(file)));
  const everything = Buffer.concat([stored, broker.wire(), Buffer.from(said.join('\n')), Buffer.from(broker.output())]);

  // The search finds what is there: leases in the store, on the wire, in answers.
  const lease = (JSON.parse(said.find((text) => text.includes('"sealed"')) ?? '{}') as { lease: string }).lease;
  expect(stored.includes(lease)).toBe(true);
  expect(broker.wire().includes(lease)).toBe(true);
  expect(tokens.length).toBeGreaterThan(20);

  const signatures = tokens.map((token) => token.split('.')[2] as string);
  for (const secret of [secrets.file, secrets.env, ...tokens.slice(0, 5), ...signatures.slice(0, 20)]) {
    for (const disguise of disguises(secret))
      expect(everything.includes(disguise), `${disguise.slice(0, 12)}… was found`).toBe(false);
  }
});
