import { readFileSync } from 'node:fs';
import { type CatalogTool, eventType, packs, parseConfig } from '@agentgate/contracts';
import {
  createHistory,
  createReplay,
  nothingRemembered,
  type RecordedCall,
  revisionOfConfig,
  startInstance,
} from '@agentgate/policy-engine';

// Recorded calls decided again, as `agentgate policy replay` does it: events to calls, facts, the engine in its worker, the report. No servers.

const count = 20_000;

const configWith = (on: readonly string[]) =>
  parseConfig(
    JSON.stringify({
      v: 1,
      tenants: { default: { agents: { demo: {} } } },
      servers: { fs: { nats: { subject: 'tool.v1.fs' } } },
      grants: [
        {
          id: 'box',
          to: { agents: ['demo'] },
          tools: ['fs/*'],
          where: { '/path': { under: '/srv/box' } },
          effect: 'allow',
        },
      ],
      policy: { packs: on },
    }),
    '/bench/agentgate.yaml',
  );

/** Each call in a session of its own, so that every pack can be replayed; half of them outside of the box. */
const recorded = (): RecordedCall[] => {
  const history = createHistory();
  const base = { time: '2026-01-01T00:00:00.000Z', tenant: 'default', agent: 'demo' };
  return Array.from({ length: count }, (_, i) => {
    const id = String(i).padStart(10, '0');
    const session = `ses_${id}`;
    const opened = { session, expires_at: base.time, purpose: 'Write the notes of the meeting to the box.' };
    history.take({ ...base, id: `evt_o${id}`, type: eventType('session.opened'), session, data: opened });
    const call = history.take({
      ...base,
      id: `evt_d${id}`,
      type: eventType('call.decided'),
      session,
      data: {
        call: `call_${id}`,
        tool: 'fs/write_file',
        arguments: { path: i % 2 === 0 ? `/srv/box/${i}` : `/srv/${i}`, content: 'The notes of the meeting.' },
        decision: { action: 'allow', code: 'OK', reason: '', rule: 'box', obligations: {} },
      },
    });
    if (!call) throw new Error('the event is not in form');
    return call;
  });
};

const tool: CatalogTool = {
  v: 1,
  name: 'fs/write_file',
  description: 'Writes a file.',
  input_schema: { type: 'object', properties: { path: { type: 'string' }, content: { type: 'string' } } },
  annotations: {},
  schema_digest: '0'.repeat(64),
  seen_at: '2026-01-01T00:00:00.000Z',
};

const measure = async (on: readonly string[]) => {
  const wasm = new Uint8Array(readFileSync(new URL('../../policies/bundle/policy.wasm', import.meta.url)));
  const log = { warn: () => {}, error: () => {} };
  const instance = await startInstance({
    revision: revisionOfConfig(configWith(on), wasm as Uint8Array<ArrayBuffer>),
    secrets: [],
    memory: nothingRemembered,
    log,
    spare: true,
  });
  try {
    const begun = performance.now();
    const replay = createReplay(instance, {
      hasSecrets: true,
      labelsOf: () => [],
      toolOf: () => ({ tool, flags: [] }),
    });
    for (const call of recorded()) await replay.take(call);
    const { changes, unfaithful } = await replay.end();
    const calls_per_s = Math.round(count / ((performance.now() - begun) / 1000));
    return { calls_per_s, denied: changes.denied, unfaithful: unfaithful.calls };
  } finally {
    await instance.engine.close();
  }
};

export const benchReplay = async ({ json }: { json: boolean }): Promise<boolean> => {
  const result = { calls: count, baseline: await measure(['baseline']), all_packs: await measure(packs) };
  const line = (name: string, { calls_per_s, denied }: Awaited<ReturnType<typeof measure>>) =>
    `${name}: ${calls_per_s} recorded calls/s decided again, ${denied} of ${count} would be denied`;
  process.stdout.write(
    json
      ? `${JSON.stringify(result)}\n`
      : `${line('grants alone', result.baseline)}\n${line('all packs', result.all_packs)}\n`,
  );
  return result.baseline.denied === count / 2 && result.all_packs.denied === count / 2;
};
