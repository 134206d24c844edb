import { expect, test } from 'vitest';
import { matchingGrants, mayCall } from '../../src/grants/lookup.ts';
import { compile } from './grants.ts';

const { data } = compile(`
  - { id: any, to: { tenants: [default] }, tools: ["*/*"], effect: allow }
  - { id: server, to: { labels: [dev] }, tools: ["fs/*"], effect: allow }
  - { id: prefix, to: { agents: [demo] }, tools: ["fs/read_*"], effect: allow }
  - { id: exact, to: { agents: [demo] }, tools: [fs/read_file], effect: allow }
  - { id: both, to: { agents: [demo], labels: [prod] }, tools: [fs/read_file], effect: allow }`);
const names = (agent: { tenant?: string; name?: string; labels?: string[] }, tool: string) =>
  matchingGrants(data, { tenant: 'default', name: 'demo', labels: ['dev'], ...agent }, tool).map(
    (n) => data.grants.list[n]?.id,
  );

test('finds the grants about an agent and a tool, the most specific first', () => {
  expect(names({}, 'fs/read_file')).toEqual(['exact', 'prefix', 'server', 'any']);
  expect(names({}, 'fs/read_x')).toEqual(['prefix', 'server', 'any']);
  expect(names({}, 'fs/*')).toEqual(['server', 'any']);
  expect(names({}, 'other/x')).toEqual(['any']);
  expect(names({ labels: ['prod'] }, 'fs/read_file')).toEqual(['exact', 'both', 'prefix', 'any']);
  expect(names({ name: 'second' }, 'fs/read_file')).toEqual(['server', 'any']);
});

test('a name is an agent’s within its tenant only', () => {
  expect(names({ tenant: 'acme', labels: [] }, 'fs/read_file')).toEqual([]);
  expect(names({ tenant: 'acme', name: 'constructor', labels: ['constructor'] }, 'constructor/constructor')).toEqual(
    [],
  );
});

test('a tool may be called when some grant may let it through and no deny holds whatever the arguments', () => {
  const policy = compile(`
  - { id: read, to: { agents: [demo] }, tools: ["fs/*"], where: { /path: { under: /srv } }, effect: allow }
  - { id: ask, to: { agents: [demo] }, tools: [crm/delete], effect: require_approval }
  - { id: some, to: { agents: [demo] }, tools: [fs/write], where: { /path: { under: /srv/x } }, effect: deny }
  - { id: never, to: { agents: [demo] }, tools: [fs/erase], effect: deny }`).data;
  const may = (tool: string) => mayCall(policy, { tenant: 'default', name: 'demo', labels: [] }, tool);
  expect(['fs/read', 'fs/write', 'crm/delete'].map(may)).toEqual([true, true, true]);
  expect(['fs/erase', 'crm/read'].map(may)).toEqual([false, false]);
});
