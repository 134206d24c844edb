import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canonical, createTree, leafHash, sealBatch, sealedText, signingKeyFromSeed } from '@agentgate/evidence';
import type { PublishedLog } from '../../packages/cli/src/evidence/published-log.ts';
import { openQueryIndex, type Selection } from '../../packages/cli/src/evidence/query-index.ts';
import { proofBytes } from './proof-size.ts';

const goalMs = 5;
const goalBytes = 2_048;
const witnesses = 3;
const rounds = 200;
const pageSize = 100;
const bundle = 256;
const start = Date.UTC(2026, 0, 1);

const key = signingKeyFromSeed(Buffer.alloc(32, 1).toString('base64url'));
const agents = Array.from({ length: 200 }, (_, i) => `agent-${i}`);
const tools = Array.from({ length: 1_000 }, (_, i) => `server-${i % 40}/tool_${i}`);
const digits = (n: number) => String(n).padStart(12, '0');
/** The same each time, and spread like a hash. */
const spread = (n: number) => Math.imul(n ^ (n >>> 15), 0x2c1b3c6d) >>> 1;

/** Event n of a busy gate: decisions and outcomes in turn, one in fifty denied, an incident each ten thousand. */
const eventOf = (n: number) => {
  const call = n >> 1;
  const agent = agents[spread(call >> 4) % agents.length] as string;
  const tool = tools[spread(call) % tools.length] as string;
  const isIncident = n % 10_000 === 9_999;
  const isDecision = n % 2 === 0;
  const outcome = call % 50 === 0 ? { action: 'deny', code: 'NO_GRANT' } : { action: 'allow', code: 'OK' };
  const data = isIncident
    ? {
        incident: `inc_${digits(Math.floor(n / 10_000))}`,
        scope: { kind: 'agent', id: agent },
        rule: 'r',
        kind: 'k',
        reason: 'x',
        events: [],
      }
    : {
        call: `call_${digits(call)}`,
        tool,
        ...(isDecision ? { decision: outcome } : { outcome: call % 97 === 0 ? 'timeout' : 'ok', code: 'OK' }),
      };
  const type = isIncident ? 'incident.opened' : isDecision ? 'call.decided' : 'call.completed';
  return {
    ...{
      agent,
      data,
      datacontenttype: 'application/json',
      id: `evt_${digits(n)}`,
      producerepoch: 'e',
      producerprev: '',
    },
    ...{ producerseq: 1, session: `ses_${digits(call >> 4)}`, source: 'agentgate/ingress/i1', specversion: '1.0' },
    ...{
      subject: `call_${digits(call)}`,
      tenant: 'default',
      time: new Date(start + n * 20).toISOString(),
      type: `agentgate.${type}.v1`,
    },
  };
};

/** As a published log reads, without its files: an index does not look at seals. */
const logOf = (entries: number): PublishedLog => {
  const [seal] = sealBatch({ domain: 'agentgate-seal-v1', lines: ['agentgate/ingress/i1', 'e'], leaves: ['x'], key });
  const textsFrom = (from: number) =>
    Array.from({ length: Math.min(bundle, entries - from) }, (_, i) =>
      sealedText(canonical(eventOf(from + i)), seal as never),
    );
  const tree = createTree();
  for (let at = 0; at < entries; at += bundle) for (const text of textsFrom(at)) tree.push(leafHash(text));
  const unread = () => Promise.reject(new Error('only the index is measured'));
  return {
    ...{ place: 'bench', vkey: '', note: '', entry: unread, path: unread },
    checkpoint: { origin: 'bench', size: entries, root: tree.root(), extensions: [] },
    bundles: async function* (from) {
      for (let at = from; at < entries; at += bundle) yield { index: at, texts: textsFrom(at) };
    },
  };
};

const kinds = (entries: number): Record<string, (n: number) => Selection> => {
  const call = (n: number) => spread(n) % (entries >> 1);
  const day = (n: number) => start + (spread(n) % entries) * 20;
  return {
    session: (n) => ({ session: `ses_${digits(call(n) >> 4)}` }),
    agent: (n) => ({ agent: agents[n % agents.length] }),
    tool: (n) => ({ tool: tools[n % tools.length] }),
    outcome: () => ({ outcome: 'timeout' }),
    'code NO_GRANT': () => ({ outcome: 'NO_GRANT' }),
    'ten minutes': (n) => ({ from: day(n), to: day(n) + 600_000 }),
    incident: (n) => ({ incident: `inc_${digits(n % Math.max(1, Math.floor(entries / 10_000)))}` }),
    'agent and outcome': (n) => ({ agent: agents[n % agents.length], outcome: 'deny' }),
    'tool in an hour': (n) => ({ tool: tools[n % tools.length], from: day(n), to: day(n) + 3_600_000 }),
    'agent, never so': (n) => ({ agent: agents[n % agents.length], outcome: 'aborted' }),
  };
};

/** `npm run bench -- query`: how long a question to the index takes, and to make the index; and how large a proof is. */
export const benchQuery = async ({ json, entries }: { json: boolean; entries: number }): Promise<boolean> => {
  const dir = mkdtempSync(join(tmpdir(), 'agentgate-query-'));
  try {
    const file = join(dir, 'index.db');
    const index = openQueryIndex(file);
    const log = logOf(entries);
    const began = performance.now();
    await index.sync(log);
    const seconds = (performance.now() - began) / 1_000;
    const rows = Object.entries(kinds(entries)).map(([name, selectionOf]) => {
      const times: number[] = [];
      let found = 0;
      for (let n = 0; n < rounds; n++) {
        const selection = selectionOf(n);
        const asked = performance.now();
        found += index.find(selection, { limit: pageSize, newestFirst: true }).length;
        times.push(performance.now() - asked);
      }
      times.sort((a, b) => a - b);
      const at = (share: number) => Math.round((times[Math.floor(share * (rounds - 1))] as number) * 100) / 100;
      return { by: name, p50_ms: at(0.5), p99_ms: at(0.99), found: found / rounds };
    });
    index.close();
    const proof = { witnesses, bytes: proofBytes(entries, witnesses) };
    const isMet = rows.every(({ p50_ms }) => p50_ms <= goalMs) && proof.bytes <= goalBytes;
    const result = {
      entries,
      index_seconds: Math.round(seconds * 10) / 10,
      index_mib: Math.round(statSync(file).size / 2 ** 20),
      rows,
      proof,
      met: isMet,
    };
    if (json) console.log(JSON.stringify(result));
    else {
      console.log(
        `${entries.toLocaleString('en')} events indexed in ${result.index_seconds} s, ${result.index_mib} MiB; the newest ${pageSize} of each, ${rounds} times:`,
      );
      console.table(rows);
      console.log(`a proof with the cosignatures of ${witnesses} witnesses has ${proof.bytes} bytes at most`);
      const goal = `a p50 of at most ${goalMs} ms, a proof of at most ${goalBytes} bytes`;
      console.log(`${isMet ? 'met' : 'NOT MET'}: ${goal}`);
    }
    return isMet;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};
