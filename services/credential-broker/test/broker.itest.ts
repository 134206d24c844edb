import type { Bus } from '@agentgate/bus';
import {
  auditStream,
  brokerLease,
  buckets,
  type LeaseRecord,
  leaseKey,
  leaseRecord,
  leasesBucket,
} from '@agentgate/contracts';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { intendedLease } from '../src/lease.ts';
import { type BrokerProcess, startBroker } from './broker-process.ts';
import { type Neighbours, secrets, startNeighbours } from './ground.ts';
import { eventually } from './orders.ts';

let near: Neighbours;
let broker: BrokerProcess;
const environment = { CRM_SECRET: secrets.env };

beforeAll(async () => {
  near = await startNeighbours();
  broker = await startBroker(near.ground, environment);
});
afterAll(async () => {
  await broker?.kill('SIGKILL');
  await near?.stop();
});

const recordOf = async (bus: Bus, permit: string): Promise<LeaseRecord> => {
  const entry = await bus.bucket(buckets.leases).get(leaseKey(permit));
  return leaseRecord.parse(JSON.parse(new TextDecoder().decode(entry?.value)));
};
const brokerUser = () => near.ground.connect('credential-broker', { instance: 'test' });
/** All that producers published, as the texts of their batches. The stream is a work queue, so it is read message by message. */
const events = async (): Promise<string> => {
  const get = `$JS.API.STREAM.MSG.GET.${auditStream.name}`;
  const info = `$JS.API.STREAM.INFO.${auditStream.name}`;
  const permissions = { pub: [get, info, '$JS.API.INFO'], sub: ['_INBOX_reader.>'] };
  const bus = await near.ground.connect('reader', {
    creds: await near.ground.mintUser({ account: 'AUDIT', user: 'reader', ...permissions }),
  });
  const { firstSeq, lastSeq } = await bus.streamInfo(auditStream.name);
  const texts: string[] = [];
  for (let seq = firstSeq; seq <= lastSeq; seq++) {
    const answer = await bus.requestRaw(get, JSON.stringify({ seq }), { of: 'JetStream', timeoutMs: 2_000 });
    const { message } = JSON.parse(new TextDecoder().decode(answer)) as { message?: { data: string } };
    if (message) texts.push(Buffer.from(message.data, 'base64').toString('utf8'));
  }
  await bus.close();
  return texts.join('\n');
};

describe('a lease', () => {
  test('brings each static secret to the runner and to nobody else', async () => {
    for (const [credential, secret] of [
      ['from-file', secrets.file],
      ['from-env', secrets.env],
    ] as const) {
      const ask = near.ask(credential);
      const answer = await near.lease(ask);
      expect(near.open(answer)).toBe(secret);
      expect(JSON.stringify(answer)).not.toContain(secret);
      expect(await near.release(answer, ask)).toEqual({ state: 'revoked' });
    }
  });

  test('brings a token that verifies against the key set over HTTP', async () => {
    const ask = near.ask('token', { obligations: { credential: { name: 'token', scope: 'read' } } });
    const answer = await near.lease(ask);
    const { payload } = await jwtVerify(near.open(answer), createRemoteJWKSet(new URL(`${broker.http}/jwks.json`)), {
      issuer: broker.http,
      audience: 'https://api.test',
      typ: 'at+jwt',
    });
    expect(payload).toMatchObject({ sub: 'default/demo', scope: 'read', jti: answer.lease });
    expect((payload.exp ?? 0) * 1000).toBeLessThanOrEqual(Date.parse(answer.expires_at));
  });

  test('is on record and in evidence before the runner has it', async () => {
    const ask = near.ask('from-file');
    const answer = await near.lease(ask);
    const found = await events();
    expect(found).toContain(answer.lease);
    const user = await brokerUser();
    expect(await recordOf(user, ask.permit.claims.id)).toMatchObject({
      id: answer.lease,
      state: 'active',
      credential: 'from-file',
    });
    await near.release(answer, ask);
    expect(await recordOf(user, ask.permit.claims.id)).toMatchObject({ state: 'revoked' });
    // An ended record goes by itself; until then its permit stays used.
    const last = await user.lastMessage(leasesBucket.name, `$KV.${buckets.leases}.${leaseKey(ask.permit.claims.id)}`);
    expect(last?.header('Nats-TTL')).toBe('120s');
    await user.close();
  });

  test('is refused, naming the credential, when the secret is not there', async () => {
    await expect(near.lease(near.ask('from-nowhere'))).rejects.toMatchObject({
      code: 'CREDENTIAL_UNAVAILABLE',
      message: 'credential from-nowhere has a file that cannot be read',
    });
  });

  test('many at once each get their own, and a refused one among them harms no other', async () => {
    const asks = Array.from({ length: 100 }, (_, i) => near.ask(i % 10 === 0 ? 'from-nowhere' : 'from-file'));
    const results = await Promise.allSettled(asks.map((ask) => near.lease(ask)));
    expect(results.filter((r) => r.status === 'rejected')).toHaveLength(10);
    const given = results.flatMap((r, i) =>
      r.status === 'fulfilled' ? [{ answer: r.value, ask: asks[i] as (typeof asks)[0] }] : [],
    );
    expect(new Set(given.map(({ answer }) => answer.lease)).size).toBe(90);
    for (const { answer } of given) expect(near.open(answer)).toBe(secrets.file);
    const released = await Promise.all(given.map(({ answer, ask }) => near.release(answer, ask)));
    expect(released.every(({ state }) => state === 'revoked')).toBe(true);
  });

  test('is not to be asked for by any other service', async () => {
    const ingress = await near.ground.connect('ingress');
    await expect(ingress.batcher(brokerLease)(near.ask('from-file'), { timeoutMs: 500 })).rejects.toMatchObject({
      code: 'BROKER_UNAVAILABLE',
    });
  });
});

describe('a permit', () => {
  test('is good for one lease, also after the broker was killed and started again', async () => {
    const ask = near.ask('from-file');
    const answer = await near.lease(ask);
    await expect(near.lease(ask)).rejects.toMatchObject({
      code: 'POLICY_DENIED',
      message: 'permit: was used for a lease already',
    });
    await broker.kill('SIGKILL');
    broker = await startBroker(near.ground, environment);
    const again = { ...ask };
    await expect(near.lease(again)).rejects.toMatchObject({ code: 'POLICY_DENIED' });
    expect(await near.release(answer, ask)).toEqual({ state: 'revoked' });
    await expect(near.lease(again)).rejects.toMatchObject({ code: 'POLICY_DENIED' });
  });
});

describe('the sweep at the start', () => {
  test('ends what a dead broker left behind, with evidence', async () => {
    const user = await brokerUser();
    const ask = near.ask('from-file');
    const past = Date.now() - 1_000;
    const { claims } = ask.permit;
    const left = intendedLease(
      ask,
      claims,
      { credential: 'from-file', provider: 'static', scope: undefined, reuse: 'call', expiresAt: past },
      past - 1_000,
    );
    expect(await broker.kill('SIGTERM')).toBe(0);
    await user.bucket(buckets.leases).create(leaseKey(claims.id), JSON.stringify(left));
    broker = await startBroker(near.ground, environment);
    await eventually(async () => expect(await recordOf(user, claims.id)).toMatchObject({ state: 'revoked' }));
    expect(await events()).toContain(left.id);
    await user.close();
  });
});

describe('NATS lost and back', () => {
  test('leases are refused meanwhile and given again after', async () => {
    await near.ground.nats.stop();
    await expect(near.lease(near.ask('from-file'))).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    await near.ground.nats.start();
    await eventually(async () => {
      const ask = near.ask('from-file');
      await near.release(await near.lease(ask), ask);
    }, 15_000);
  });
});

describe('kill orders', () => {
  test('end the open leases that they cover, and refuse new ones', async () => {
    const ask = near.ask('from-file');
    await near.lease(ask);
    await near.kill({ kind: 'session', id: ask.permit.claims.session });
    await expect(near.lease(near.ask('from-file'))).rejects.toMatchObject({ code: 'KILLED_SESSION' });
    const user = await brokerUser();
    await eventually(async () =>
      expect(await recordOf(user, ask.permit.claims.id)).toMatchObject({ state: 'revoked' }),
    );
    await user.close();
  });

  test('refuse everything once nobody vouches for the kill view', async () => {
    near.pulsing.on = false;
    await eventually(async () => {
      await expect(near.lease(near.ask('from-file', { session: 'ses_00000000000000000002' }))).rejects.toMatchObject({
        code: 'KILL_SWITCH_UNAVAILABLE',
      });
    }, 6_000);
    near.pulsing.on = true;
  });
});

describe('evidence lost', () => {
  test('refuses with EVIDENCE_UNAVAILABLE: no lease without evidence', async () => {
    const creds = await near.ground.mintUser({
      account: 'AUDIT',
      user: 'wrecker',
      pub: ['$JS.API.STREAM.DELETE.AUDIT'],
      sub: ['_INBOX_wrecker.>'],
    });
    const wrecker = await near.ground.connect('wrecker', { creds });
    await wrecker.requestRaw('$JS.API.STREAM.DELETE.AUDIT', '', { of: 'JetStream', timeoutMs: 2_000 });
    await eventually(async () => {
      await expect(near.lease(near.ask('token', { session: 'ses_00000000000000000002' }))).rejects.toMatchObject({
        code: 'EVIDENCE_UNAVAILABLE',
      });
    });
  });
});
