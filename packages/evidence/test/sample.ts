import { type ChainItem, createChain, type EventDraft, signingKeyFromSeed } from '../src/index.ts';

/** Fixed keys, so that a failing test fails the same way each time. */
export const keyOf = (byte: number) => signingKeyFromSeed(Buffer.alloc(32, byte).toString('base64url'));

export const source = 'agentgate/ingress/a1';

export const draft = (n: number, data: Record<string, unknown> = {}): EventDraft => ({
  id: `evt_${n}`,
  type: 'agentgate.call.decided.v1',
  subject: `call_${n}`,
  time: '2026-01-01T00:00:00.000Z',
  tenant: 'default',
  agent: 'demo',
  session: 'ses_1',
  data: { call: `call_${n}`, tool: 'filesystem/read_file', arguments: { path: '/srv/é.txt' }, ...data },
});

export const itemsOf = (count: number, epoch = 'epoch-1'): ChainItem[] => {
  const chain = createChain({ source, epoch });
  return Array.from({ length: count }, (_, i) => chain.next(draft(i + 1)));
};
