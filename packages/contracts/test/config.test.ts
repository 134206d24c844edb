import { describe, expect, test } from 'vitest';
import { parseConfig } from '../src/index.ts';

const base = `v: 1
tenants:
  default:
    agents:
      demo: { labels: [dev] }
servers:
  files:
    stdio: { command: ./server, args: [-y, ./sandbox, plain] }
grants:
  - id: read
    to: { agents: [demo] }
    tools: ["files/read_*"]
    where: { /path: { under: ./sandbox } }
    effect: allow
`;

describe('agentgate.yaml', () => {
  test('has its relative paths resolved from where it lies', () => {
    const c = parseConfig(base, '/srv/gate/agentgate.yaml');
    expect(c.servers.files?.stdio).toMatchObject({
      command: '/srv/gate/server',
      args: ['-y', '/srv/gate/sandbox', 'plain'],
    });
    expect(c.grants[0]?.where?.['/path']?.under).toBe('/srv/gate/sandbox');
  });

  test('switches on nothing but grants where it says nothing, and always those', () => {
    const { policy } = parseConfig(base, '/srv/gate/agentgate.yaml');
    expect(policy).toEqual({ packs: ['baseline'], egress: { deny: [] }, secrets: {}, rate_limits: [] });
    const dlp = parseConfig(
      `${base}policy: { packs: [dlp], secrets: { k: { file: ./k } } }\n`,
      '/srv/gate/agentgate.yaml',
    );
    expect(dlp.policy).toMatchObject({ packs: ['dlp'], secrets: { k: { file: '/srv/gate/k' } } });
  });

  test('quarantines at first sight what hides or passes for another, where it says nothing', () => {
    expect(parseConfig(base, '/srv/gate/agentgate.yaml').pinning).toEqual({
      quarantine: ['hidden_characters', 'reads_the_same'],
      pins: {},
    });
    const digest = 'a'.repeat(64);
    const text = `${base}pinning: { quarantine: [new], pins: { files/read_file: ${digest} } }\n`;
    expect(parseConfig(text, '/srv/gate/agentgate.yaml').pinning).toEqual({
      quarantine: ['new'],
      pins: { 'files/read_file': digest },
    });
    expect(() => parseConfig(text.replace(digest, 'abc'), '/a.yaml')).toThrow(/^\/a\.yaml:\d+: pinning\/pins/);
  });

  test.each([
    [
      'an unknown key, with line and key',
      base.replace('under:', 'undr:'),
      '/x.yaml:13: grants/0/where/~1path/undr: unknown field',
    ],
    ['an unknown key at the top', `${base}extra: 1\n`, '/x.yaml:15: extra: unknown field'],
    ['a name that NATS could misread', base.replace('demo: {', '"*": {'), '/x.yaml:5: tenants/default/agents/*'],
    [
      'a server with two kinds',
      base.replace('files:\n', 'files:\n    nats: { subject: tool.v1.files }\n'),
      'needs exactly one of stdio, http and nats',
    ],
    [
      'a credential that is not there',
      base.replace('files:\n', 'files:\n    credential: k\n    inject: { env: K }\n'),
      'no credential is named k',
    ],
    ['two grants of one name', base + base.slice(base.indexOf('  - id')), 'a second grant is named read'],
    ['a duplicate key', `${base}v: 1\n`, '/x.yaml:15: Map keys must be unique'],
    [
      'settings of a pack that is off',
      `${base}policy: { egress: { deny: [a.example] } }\n`,
      'policy/egress: does nothing while policy.packs does not name egress',
    ],
    [
      'secrets that nobody looks for',
      `${base}policy: { secrets: { k: { env: K } } }\n`,
      'policy/secrets: does nothing while policy.packs does not name dlp',
    ],
    [
      'limits that nobody counts',
      `${base}tools: [{ tools: ["a/b"], rate_limits: [{ limit: 1, window_s: 1 }] }]\n`,
      'tools/0/rate_limits: does nothing while policy.packs does not name limits',
    ],
    ['a pack that is not there', `${base}policy: { packs: [baselin] }\n`, '/x.yaml:15: policy/packs/0'],
    [
      'a pattern of tools that names no server',
      `${base}tools: [{ tools: ["b"] }]\n`,
      'tools/0/tools/0: must be <server>',
    ],
    [
      'a pointer that is none',
      `${base}tools: [{ tools: ["a/b"], redact: { result: [pin] } }]\n`,
      'tools/0/redact/result/0: must be a JSON pointer',
    ],
    ['a condition that demands nothing', base.replace('under: ./sandbox', 'optional: true'), 'names no condition'],
  ])('is refused for %s', (_, source, message) => {
    expect(() => parseConfig(source, '/x.yaml')).toThrow(message);
  });
});
