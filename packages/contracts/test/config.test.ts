import { describe, expect, test } from 'vitest';
import { parseConfig } from '../src/index.ts';

const vkey = 'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2';

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

  test('names the misspelt key and its line, not the one that is missing for it', () => {
    expect(() => parseConfig(base.replace('command:', 'comand:'), '/a.yaml')).toThrow(
      '/a.yaml:8: servers/files/stdio/comand: unknown field',
    );
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

  test('tells nobody where it names no endpoint, and finds a secret’s file from where it lies', () => {
    expect(parseConfig(base, '/srv/gate/agentgate.yaml').alerts).toEqual({ endpoints: {} });
    const source = `${base}alerts: { endpoints: { pager: { url: "https://a.example/", secret: { file: ./k }, previous_secret: { env: OLD } } } }\n`;
    expect(parseConfig(source, '/srv/gate/agentgate.yaml').alerts.endpoints.pager).toEqual({
      url: 'https://a.example/',
      events: ['*'],
      secret: { file: '/srv/gate/k' },
      previous_secret: { env: 'OLD' },
      allow_private: false,
      allow_http: false,
    });
  });

  test.each([
    ['nothing in it', '', '/x.yaml: is empty'],
    ['nothing but a comment in it', '# v: 1\n', '/x.yaml: is empty'],
    ['a list', '- v\n', /^\/x\.yaml:1: Invalid input: expected object, received array$/],
    ['a tab', base.replace('    agents', '\tagents'), /^\/x\.yaml:4: Tabs are not allowed as indentation$/],
    ['a second document', `${base}---\nv: 1\n`, '/x.yaml:15: a second document begins here, and one is allowed'],
    [
      'a key that zod passes over',
      base.replace('  files:', '  __proto__:'),
      '/x.yaml:7: __proto__: this key is not allowed',
    ],
    ['an alias of nothing', base.replace('[dev]', '*labels'), '/x.yaml:5: *labels: nothing before it is named &labels'],
    [
      'aliases of aliases of aliases',
      `a: &a [${'x,'.repeat(9)}x]\nb: &b [${'*a,'.repeat(9)}*a]\nc: &c [${'*b,'.repeat(9)}*b]\nd: [${'*c,'.repeat(9)}*c]\n`,
      '/x.yaml: its aliases stand for too much',
    ],
    [
      'a name that is none, and says what one is',
      base.replace('demo:', 'a.b:'),
      '/x.yaml:5: tenants/default/agents/a.b: must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit',
    ],
    [
      'a secret in place of where it is',
      `${base}credentials: { k: { provider: static, from: { value: hunter2 } } }\n`,
      '/x.yaml:15: credentials/k/from/value: unknown field',
    ],
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
    ['a duplicate key', `${base}v: 1\n`, '/x.yaml:15: v: stands here a second time'],
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
    [
      'an alert that would leave unencrypted',
      `${base}alerts: { endpoints: { pager: { url: "http://a.example/" } } }\n`,
      '/x.yaml:15: alerts/endpoints/pager/url: must be https, or allow_http must say that it need not be',
    ],
    [
      'a secret that stands in the file',
      `${base}alerts:\n  endpoints:\n    pager:\n      url: https://a.example/\n      secret: whsec_abc\n`,
      '/x.yaml:19: alerts/endpoints/pager/secret',
    ],
    [
      'a password in an alert’s URL',
      `${base}alerts: { endpoints: { pager: { url: "https://a:b@c.example/" } } }\n`,
      'alerts/endpoints/pager/url: must not hold a user, a password or a fragment',
    ],
    [
      'a pattern that no alert matches',
      `${base}alerts: { endpoints: { pager: { url: "https://a.example/", events: [kil.*] } } }\n`,
      'alerts/endpoints/pager/events/0: matches no event: they are kill.ordered,',
    ],
    [
      'more endpoints than may hang at once',
      `${base}alerts: { endpoints: { ${Array.from({ length: 17 }, (_, i) => `e${i}: { url: "https://a.example/" }`).join(', ')} } }\n`,
      'alerts/endpoints: more than 16 endpoints',
    ],
    [
      'witnesses without a quorum',
      `${base}evidence: { witnesses: [{ url: "https://w.example", vkey: "${vkey}" }] }\n`,
      '/x.yaml:15: evidence/witnesses: need a quorum: how many of them have to cosign',
    ],
    [
      'a quorum of more than there are',
      `${base}evidence:\n  witnesses: [{ url: "https://w.example", vkey: "${vkey}" }]\n  quorum: 2\n`,
      '/x.yaml:17: evidence/quorum: the quorum is not 1 to 1, the number of witnesses',
    ],
    ['a quorum of nobody', `${base}evidence: { quorum: 1 }\n`, 'evidence/quorum: goes with witnesses only'],
    [
      'a key that is not one of a witness',
      `${base}evidence:\n  witnesses:\n    - url: "https://w.example"\n      vkey: "${vkey.slice(0, -2)}"\n  quorum: 1\n`,
      '/x.yaml:18: evidence/witnesses/0/vkey: the verifier key',
    ],
    [
      'a witness that would count twice',
      `${base}evidence: { quorum: 1, witnesses: [{ url: "https://w.example", vkey: "${vkey}" }, { url: "https://x.example", vkey: "${vkey}" }] }\n`,
      'evidence/witnesses: two witnesses have one name',
    ],
    [
      'a witness with a password in its address',
      `${base}evidence: { quorum: 1, witnesses: [{ url: "https://me:you@w.example", vkey: "${vkey}" }] }\n`,
      'evidence/witnesses/0/url: must hold no user, password, query or fragment',
    ],
    ['a condition that demands nothing', base.replace('under: ./sandbox', 'optional: true'), 'names no condition'],
  ])('is refused for %s', (_, source, message) => {
    expect(() => parseConfig(source, '/x.yaml')).toThrow(message);
  });
});
