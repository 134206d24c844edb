import type { PolicySettings, ToolProfile } from '@agentgate/contracts';
import { expect, test } from 'vitest';
import { createFactFinder } from '../src/facts.ts';
import { nothingRemembered } from '../src/trial/trial.ts';
import { describedTool } from './trial/world.ts';

const who = { tenant: 'default', agent: 'demo', session: 'ses_0000000001' };
const args = { to: 'eve@example.org', url: 'https://a.example/x', text: 'as it was asked' };
const asked = (name: string, purpose: string) => ({
  ask: { ...who, call: 'call_0000000001', tool: name, arguments: args, deadline: 1_000 },
  session: {
    ...who,
    openedAt: 0,
    expiresAt: 1_000,
    purpose,
    held: false,
    calls: 3,
    denied: 0,
    taint: { session: ['private'], agent: [] },
  },
  tool: describedTool(name, 'Sends a message, deletes a file, or fetches a page').tool,
});
const tools: ToolProfile[] = [
  { tools: ['crm/*'], labels: ['send'], taint: ['private'], redact: { result: ['/a'] }, witnessed: true },
];
const find = (packs: PolicySettings['packs']) =>
  createFactFinder({
    tools,
    policy: { packs, egress: { deny: [] }, secrets: {}, rate_limits: [] },
    secrets: [],
    memory: nothingRemembered,
  }).find(
    ['crm/send_mail', 'fs/delete_file', 'web/fetch'].flatMap((name) =>
      ['', 'Send eve@example.org a mail, then delete what https://a.example/x names'].map((text) => asked(name, text)),
    ),
  );

test('a pack that finds nothing in a call leaves its facts as they are without one', async () => {
  for (const packs of [['baseline'], ['baseline', 'limits']] satisfies PolicySettings['packs'][])
    expect(await find(packs)).toEqual(await find([...packs, 'dlp']));
});
