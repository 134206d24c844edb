import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Bus, type CurveKey, createCurveKey } from '@agentgate/bus';
import {
  brokerLease,
  brokerRelease,
  type KillRecord,
  killPulse,
  killStream,
  killSubject,
  type LeaseAnswer,
  type LeaseAsk,
  leasedSecret,
  type Scope,
  scopeKey,
} from '@agentgate/contracts';
import { type Ground, startGround } from '@agentgate/testkit';
import { askOf, claimsOf } from './fixture.ts';

/** The environment's secret is one long word, so that its bytes cannot be anywhere by chance. */
export const secrets = { file: 'FILE-secret-1f0b6a2c9d', env: 'ENV-secret-77c1e0aa42' };

export const gateYaml = JSON.stringify({
  v: 1,
  tenants: { default: { agents: { demo: {} } } },
  credentials: {
    'from-file': { provider: 'static', from: { file: './file.key' } },
    'from-env': { provider: 'static', from: { env: 'CRM_SECRET' } },
    'from-nowhere': { provider: 'static', from: { file: './absent.key' } },
    token: { provider: 'jwt', audience: 'https://api.test', scope: 'read write', ttl_s: 20 },
  },
});

/** Real servers, and the neighbours that a broker has: a kill-switch that pulses and a runner that asks. */
export interface Neighbours {
  ground: Ground;
  runner: Bus;
  curve: CurveKey;
  killSwitch: Bus;
  kill(scope: Scope): Promise<number>;
  pulsing: { on: boolean };
  ask(credential: string, change?: Parameters<typeof claimsOf>[0], sealTo?: string): LeaseAsk;
  lease(ask: LeaseAsk, timeoutMs?: number): Promise<LeaseAnswer>;
  release(answer: LeaseAnswer, ask: LeaseAsk, timeoutMs?: number): Promise<{ state: string }>;
  open(answer: LeaseAnswer): string;
  partsIn(answer: LeaseAnswer): Record<string, string>;
  stop(): Promise<void>;
}

export const startNeighbours = async (
  configure: string | ((natsUrl: string) => string) = gateYaml,
): Promise<Neighbours> => {
  const withUrl = (natsUrl: string) => (typeof configure === 'string' ? configure : configure(natsUrl));
  const ground = await startGround({ config: withUrl('nats://127.0.0.1:4222'), redis: false });
  const yaml = withUrl(ground.natsUrl);
  writeFileSync(join(ground.dir, 'file.key'), `${secrets.file}\n`, { mode: 0o600 });
  writeFileSync(ground.configFile, yaml);
  const [runner, killSwitch] = await Promise.all([ground.connect('tool-runner'), ground.connect('kill-switch')]);
  const curve = createCurveKey();
  const pulsing = { on: true };
  let epoch = (await killSwitch.streamInfo(killStream.name)).lastSeq;
  const pulse = setInterval(() => {
    if (pulsing.on) killSwitch.notify(killPulse, { v: 1, instance: 'kill-1', epoch, at: Date.now() });
  }, 200);
  const partsIn = ({ sealed = '', broker_key }: LeaseAnswer) => {
    const text = Buffer.from(curve.open(Buffer.from(sealed, 'base64'), broker_key)).toString('utf8');
    return leasedSecret.parse(JSON.parse(text)).parts;
  };
  const leases = runner.batcher(brokerLease);
  const releases = runner.batcher(brokerRelease);
  return {
    ground,
    runner,
    curve,
    killSwitch,
    pulsing,
    kill: async (scope) => {
      const record: KillRecord = {
        v: 1,
        state: 'killed',
        scope,
        reason: 'a test',
        by: 'op',
        at: new Date().toISOString(),
      };
      epoch = (
        await killSwitch.publishDurable(killSubject(scopeKey(scope)), JSON.stringify(record), { timeoutMs: 2_000 })
      ).seq;
      return epoch;
    },
    ask: (credential, change, sealTo = curve.publicKey) =>
      askOf({
        claims: claimsOf({ obligations: { credential: { name: credential } }, ...change }, Date.now()),
        permitKey: ground.key('policy'),
        signer: ground.key('tool-runner'),
        sealTo,
        epoch,
      }),
    lease: (ask, timeoutMs = 2_000) => leases(ask, { timeoutMs }),
    release: ({ lease }, ask, timeoutMs = 2_000) => releases({ lease, permit: ask.permit.claims.id }, { timeoutMs }),
    open: (answer) => partsIn(answer).secret ?? '',
    partsIn,
    stop: async () => {
      clearInterval(pulse);
      await ground.stop();
    },
  };
};
