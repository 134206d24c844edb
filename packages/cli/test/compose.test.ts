import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseConfig, services } from '@agentgate/contracts';
import { createDeployment, type Deployment } from '@agentgate/ground';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { createProgram } from '../src/program.ts';
import { layLocalWitness, layWitnessFolder, localVkey, witnessSpec } from '../src/up/local-witness.ts';
import { serviceSpecs } from '../src/up/service-specs.ts';
import { stackPorts } from '../src/up/stack-ports.ts';

// No container engine is needed here: what the file says is compared with what `up` would do.

const root = fileURLToPath(new URL('../../../', import.meta.url));
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const home = '/home/agentgate';

const mount = z.strictObject({
  type: z.enum(['volume', 'bind']),
  source: z.string(),
  target: z.string(),
  read_only: z.boolean().optional(),
  volume: z.strictObject({ nocopy: z.boolean(), subpath: z.string().optional() }).optional(),
});
// Strict: `privileged`, `cap_add`, `network_mode`, `devices` and the like are errors.
const container = z.strictObject({
  image: z.string().regex(/^[a-z]+:\d[\w.-]*$/, 'pinned by a tag that starts with a number'),
  build: z.strictObject({ context: z.literal('.'), dockerfile: z.string() }).optional(),
  command: z.array(z.string()).min(1),
  user: z.literal('1000:1000'),
  read_only: z.literal(true),
  cap_drop: z.tuple([z.literal('ALL')]),
  security_opt: z.tuple([z.literal('no-new-privileges:true')]),
  init: z.literal(true),
  pids_limit: z.int(),
  mem_limit: z.string(),
  logging: z.object({ driver: z.literal('json-file') }),
  tmpfs: z.array(z.string().regex(/noexec,nosuid,nodev$/)).optional(),
  restart: z.literal('unless-stopped').optional(),
  stop_grace_period: z.string().optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.string() })).optional(),
  networks: z.array(z.string()),
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/)).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  volumes: z.array(mount).min(1),
  healthcheck: z
    .strictObject({
      test: z.array(z.string()),
      interval: z.string(),
      timeout: z.string(),
      retries: z.int(),
      start_period: z.string(),
    })
    .optional(),
});
const compose = z
  .object({
    services: z.record(z.string(), container),
    networks: z.record(z.string(), z.strictObject({ internal: z.boolean().optional() })),
    volumes: z.record(z.string(), z.null()),
  })
  .parse(parse(read('docker-compose.yml'), { merge: true }));
const of = (name: string) => {
  const found = compose.services[name];
  if (!found) throw new Error(`docker-compose.yml has no ${name}`);
  return found;
};

let folder: string;
let deployment: Deployment;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'agentgate-compose-'));
  deployment = await createDeployment({
    home: folder,
    config: parseConfig(read('agentgate.yaml'), '/app/agentgate.yaml'),
    ports: stackPorts(),
    hosts: { nats: 'nats', redis: 'redis', listen: '0.0.0.0' },
  });
  layWitnessFolder(deployment);
  layLocalWitness(deployment, { host: 'witness', port: stackPorts().witness });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('starts the servers, the witness, the two one-shot commands and every service', () => {
  const beside = ['ground', 'nats', 'provision', 'redis', 'witness'];
  expect(Object.keys(compose.services).sort()).toEqual([...beside, ...services].sort());
});

test.each(services)('gives %s the command and the variables that up gives it', (service) => {
  const spec = serviceSpecs({
    deployment,
    root: '/app',
    configFile: '/app/agentgate.yaml',
    httpPorts: stackPorts().http,
    mcpPort: stackPorts().mcp,
    environment: {},
    node: 'node',
    logLevel: 'info',
  }).find((s) => s.name === service);
  // A read-only image has no place for a compile cache.
  const { NODE_COMPILE_CACHE: _, ...wanted } = Object.fromEntries(
    Object.entries(spec?.env ?? {}).map(([name, value]) => [name, value.replace(folder, home)]),
  );
  const { AGENTGATE_JWT_ISSUER: issuer, ...told } = of(service).environment ?? {};
  expect(told).toEqual({ ...wanted, AGENTGATE_HTTP_HOST: '0.0.0.0' });
  // Else it would be the address that the broker listens on, which is nobody's name.
  expect(issuer).toBe(service === 'credential-broker' ? `http://${service}:${told.AGENTGATE_HTTP_PORT}` : undefined);
  expect(['node', '--disable-warning=ExperimentalWarning', `/app/${of(service).command.join(' ')}`]).toEqual([
    spec?.command,
    ...(spec?.args ?? []),
  ]);
  expect(existsSync(join(root, of(service).command[0] ?? ''))).toBe(true);
  expect(of(service).healthcheck?.test.join(' ')).toContain(`http://127.0.0.1:${told.AGENTGATE_HTTP_PORT}/healthz`);
  expect(of(service).depends_on).toEqual({ provision: { condition: 'service_completed_successfully' } });
});

test('gives the witness the command and the variables that up gives it, and nothing but its own folder and network', () => {
  const spec = witnessSpec({
    home: folder,
    root: '/app',
    port: stackPorts().witness,
    environment: {},
    node: 'node',
    logLevel: 'info',
  });
  const { NODE_COMPILE_CACHE: _, ...wanted } = spec.env;
  const { environment, command, volumes, networks, healthcheck } = of('witness');
  expect(environment).toEqual({
    ...wanted,
    AGENTGATE_WITNESS_DIR: `${home}/witness`,
    AGENTGATE_HTTP_HOST: '0.0.0.0',
  });
  expect(['--disable-warning=ExperimentalWarning', `/app/${command.join(' ')}`]).toEqual(spec.args);
  expect(existsSync(join(root, command[0] ?? ''))).toBe(true);
  expect(healthcheck?.test.join(' ')).toContain(`http://127.0.0.1:${stackPorts().witness}/`);
  expect(volumes.map(({ target }) => target)).toEqual([`${home}/witness`]);
  // It and audit see each other; nothing else sees it, and it sees nothing else.
  const inSight = Object.entries(compose.services).filter(([, each]) =>
    each.networks.some((n) => networks.includes(n)),
  );
  expect(inSight.map(([name]) => name).sort()).toEqual(['audit', 'witness']);
});

test('has audit ask the witness by its name, and runner and audit know its key', () => {
  const told = JSON.parse(readFileSync(join(folder, 'keys', 'witnesses.json'), 'utf8')) as object;
  const witness = { url: `http://witness:${stackPorts().witness}`, vkey: localVkey(folder) };
  expect(told).toMatchObject({ witnesses: [witness], quorum: 1 });
  expect(of('ground').command).toContain('--witness-host=witness');
});

test.each(services)('shows %s the files that its variables name, and no other of the home', (service) => {
  const mounted = of(service).volumes.filter((v) => v.source === 'home');
  const named = Object.values(of(service).environment ?? {}).filter((value) => value.startsWith(`${home}/`));
  expect(mounted.map((v) => v.target).sort()).toEqual(named.sort());
  const writable = mounted.filter((v) => v.read_only !== true).map((v) => v.target);
  expect(writable).toEqual(service === 'audit' ? [`${home}/evidence`, `${home}/log-lock`] : []);
});

test('mounts of the home only what the ground lays, each under its own name', () => {
  for (const { volumes } of Object.values(compose.services)) {
    for (const { source, target, volume } of volumes) {
      if (source !== 'home' || volume?.subpath === undefined) continue;
      expect(target).toBe(`${home}/${volume.subpath}`);
      expect(volume.nocopy).toBe(true);
      expect(existsSync(join(folder, volume.subpath)), volume.subpath).toBe(true);
    }
  }
});

test('finds Redis by its name, and lets both servers listen inside of their containers', () => {
  expect(new URL(deployment.redis.url('policy')).host).toBe('redis:6380');
  expect(readFileSync(deployment.redis.conf, 'utf8')).toMatch(/^bind 0\.0\.0\.0$/m);
  expect(readFileSync(deployment.natsConf, 'utf8')).toMatch(/^host: "0\.0\.0\.0"$/m);
});

test('lets only the one-shot commands see the whole home', () => {
  const whole = Object.entries(compose.services).filter(([, { volumes }]) => volumes.some((v) => v.target === home));
  expect(whole.map(([name]) => name).sort()).toEqual(['ground', 'provision']);
});

test('knows every network and volume that a container names, and publishes NATS and MCP alone', () => {
  for (const { networks, volumes } of Object.values(compose.services)) {
    for (const name of networks) expect(compose.networks).toHaveProperty(name);
    for (const v of volumes.filter(({ type }) => type === 'volume')) expect(compose.volumes).toHaveProperty(v.source);
  }
  const published = Object.entries(compose.services).filter(([, { ports }]) => ports !== undefined);
  expect(published.map(([name]) => name).sort()).toEqual(['mcp-edge', 'nats']);
  for (const [, { ports = [] }] of published) for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  expect(['bus', 'state', 'cosign'].map((name) => compose.networks[name]?.internal)).toEqual([true, true, true]);
});

test.each(['ground', 'provision'])('runs %s with a command that the program has and options that it takes', (name) => {
  const [file = '', group = '', verb = '', ...options] = of(name).command;
  expect(existsSync(join(root, file))).toBe(true);
  const found = createProgram()
    .commands.find((c) => c.name() === group)
    ?.commands.find((c) => c.name() === verb);
  const parsed = found?.exitOverride().parseOptions(options);
  expect(parsed).toEqual({ operands: [], unknown: [] });
});

test('installs in the image with the pnpm and on the Node of the set-up', () => {
  const pins = z
    .object({ pnpm: z.string(), node: z.object({ floor: z.string() }) })
    .parse(JSON.parse(read('scripts/setup/pins.json')));
  const dockerfile = read('deploy/Dockerfile');
  expect(dockerfile).toContain(`ARG PNPM=${pins.pnpm}\n`);
  expect(dockerfile.match(/^FROM \S+/gm)).toEqual(Array(2).fill(`FROM node:${pins.node.floor.split('.')[0]}-slim`));
  expect(dockerfile.match(/^USER .*/gm)).toEqual(['USER 1000:1000']);
});
