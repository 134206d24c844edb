import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Config, ConfigError, parseConfig, type StackStatus, services, stackStatus } from '@agentgate/contracts';
import { createDeployment, type Deployment, GroundError, logOrigin, provision, writePrivate } from '@agentgate/ground';
import { unenforceable } from '@agentgate/policy-engine';
import type { CliContext } from '../context.ts';
import { quoted } from '../quoted.ts';
import { statusFile } from '../stack.ts';
import { fillCompileCache } from './compile-cache.ts';
import { startGuard } from './guard.ts';
import { lockHome } from './home-lock.ts';
import { layLocalWitness, witnessName, witnessReady, witnessSpec } from './local-witness.ts';
import { createLines, type LogFormat } from './log-lines.ts';
import { endLeftovers } from './pid-files.ts';
import { probe } from './probe.ts';
import { tellPushedPolicy } from './pushed-policy.ts';
import { laySandbox } from './sandbox.ts';
import { serverNames } from './server-names.ts';
import { startServers } from './servers.ts';
import { serviceSpecs, smallMemory } from './service-specs.ts';
import { requireFree, type StackPorts, stackPorts } from './stack-ports.ts';
import { createStoreWatch } from './store-watch.ts';
import { summary } from './summary.ts';
import { createSupervisor, type Supervisor } from './supervisor.ts';
import { waitReady } from './wait-ready.ts';

export interface UpOptions {
  config?: string;
  portBase?: number;
  logFormat?: LogFormat;
  logLevel?: string;
}

const readyMs = 60_000;

/** Starts a whole stack and keeps it until `stop` is aborted. Throws GroundError or ConfigError where it cannot come up. */
export const up = async (ctx: CliContext, options: UpOptions, stop: AbortSignal): Promise<void> => {
  const began = performance.now();
  const standard = join(ctx.root, 'agentgate.yaml');
  const configFile = options.config === undefined ? standard : resolve(options.config);
  const config = readConfig(configFile);
  const ports = stackPorts(options.portBase);
  const unlock = await lockHome(ctx.home);
  const dismissGuard = startGuard(ctx.home);
  const { onLine, onEnd } = outputs(ctx, options, stop);
  const supervisor = createSupervisor({
    home: ctx.home,
    onLine: (program, line) => {
      onLine(program, line);
      if (program === serverNames[0]) store.hear(line);
    },
    onEnd,
  });
  const store = createStoreWatch({ folder: ctx.home, restart: () => supervisor.restart(serverNames[0]) });
  try {
    rmSync(statusFile(ctx.home), { force: true });
    const left = await endLeftovers(ctx.home, serverNames);
    if (left.length > 0) ctx.err(`ended what an earlier start left behind: ${left.join(', ')}`);
    await requireFree(ports, { witness: config.evidence.witnesses.length === 0 });
    if (configFile === standard) laySandbox(ctx.root);
    const deployment = await createDeployment({ home: ctx.home, config, ports });
    const local = layLocalWitness(deployment, { port: ports.witness });
    await bringUp({ ctx, options, configFile, ports, deployment, supervisor, stop, local });
    const status = tellStatus({ deployment, ports, configFile, local });
    await tellPushedPolicy(ctx);
    ctx.out(
      summary(status, {
        seconds: (performance.now() - began) / 1000,
        example: exampleCall(ctx.root, configFile === standard),
        homeFlag: ctx.home === join(ctx.root, '.agentgate') ? '' : ` --home ${quoted(ctx.home)}`,
        paint: ctx.paint,
      }),
    );
    await new Promise<void>((done) =>
      stop.aborted ? done() : stop.addEventListener('abort', () => done(), { once: true }),
    );
  } catch (error) {
    // A stop during the start makes much fail; that is no fault.
    if (!stop.aborted) throw error;
  } finally {
    store.close();
    rmSync(statusFile(ctx.home), { force: true });
    await bringDown(supervisor);
    dismissGuard();
    unlock();
  }
};

const readConfig = (file: string): Config => {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new ConfigError(`${file}: ${isMissing ? 'does not exist' : 'cannot be read'}`, { cause });
  }
  return parseConfig(text, file, unenforceable);
};

const outputs = (ctx: CliContext, options: UpOptions, stop: AbortSignal) => {
  // Whoever reads it may be gone, or its file on a full disk: no reason to end what runs.
  process.stdout.on('error', () => {});
  const format = options.logFormat ?? (ctx.isTerminal ? 'pretty' : 'json');
  const show = createLines({
    format,
    color: ctx.paint.isColorSupported,
    servers: serverNames,
    write: (text) => void process.stdout.write(text),
  });
  const onEnd = (program: string, how: string, againInMs: number) =>
    show(
      'agentgate',
      JSON.stringify({
        level: 40,
        time: new Date().toISOString(),
        msg: `${program} ended (${how}); it starts again in ${againInMs} ms`,
      }),
    );
  // The servers announce their end as a warning; on the way down that is no news.
  const onLine = (program: string, line: string) =>
    void (stop.aborted && isServer(program) ? undefined : show(program, line));
  return { onLine, onEnd };
};

const isServer = (program: string) => (serverNames as readonly string[]).includes(program);

interface Start {
  ctx: CliContext;
  options: UpOptions;
  configFile: string;
  ports: StackPorts;
  deployment: Deployment;
  supervisor: Supervisor;
  stop: AbortSignal;
  /** The stack's own witness, where it has one. */
  local: ReturnType<typeof layLocalWitness>;
}

const bringUp = async (start: Start): Promise<void> => {
  const { ctx, options, configFile, ports, deployment, supervisor, stop, local } = start;
  const { environment, root } = ctx;
  const node = process.execPath;
  const filled = fillCompileCache({ root, environment, node, nodeOptions: smallMemory.NODE_OPTIONS, signal: stop });
  await startServers({ deployment, ports, supervisor, root, environment });
  stop.throwIfAborted();
  await provision({ natsUrl: deployment.natsUrl, seeds: deployment.seeds, roster: deployment.roster() });
  await filled;
  stop.throwIfAborted();
  const common = { root, environment, node, logLevel: options.logLevel ?? 'info' };
  const specs = serviceSpecs({ ...common, deployment, configFile, httpPorts: ports.http, mcpPort: ports.mcp });
  if (local) supervisor.start(witnessSpec({ ...common, home: deployment.home, port: ports.witness }));
  for (const spec of specs) supervisor.start(spec);
  if (local) await witnessReady(local, { supervisor, signal: stop, gone: (why) => new GroundError(why) });
  await waitReady({ ports: ports.http, state: supervisor.state, timeoutMs: readyMs, signal: stop });
  await probe(deployment);
  stop.throwIfAborted();
};

/** Longer than the runner lets calls run on, stops them and ingress writes what became of them. */
const lastCallsMs = 6_000;

/**
 * Calls end first: the runner stops those that do not end by themselves, ingress writes their outcomes and answers, and what both need for that
 * still runs. NATS goes last, because everything else says its farewell through it.
 */
const bringDown = async (supervisor: Supervisor): Promise<void> => {
  const first: readonly string[] = ['ingress', 'tool-runner'];
  await supervisor.stop(first, lastCallsMs);
  await supervisor.stop(
    services.filter((s) => !first.includes(s)),
    3_000,
  );
  await supervisor.stop([witnessName], 3_000);
  await supervisor.stop([serverNames[1]], 1_500);
  await supervisor.stop([serverNames[0]], 1_500);
};

const tellStatus = ({
  deployment,
  ports,
  configFile,
  local,
}: Pick<Start, 'deployment' | 'ports' | 'configFile' | 'local'>): StackStatus => {
  const witness = local ?? deployment.config.evidence.witnesses[0];
  const status = stackStatus.parse({
    v: 1,
    ready: true,
    pid: process.pid,
    started_at: new Date().toISOString(),
    nats: deployment.natsUrl,
    websocket: deployment.websocketUrl,
    mcp: `http://127.0.0.1:${ports.mcp}/mcp`,
    metrics: Object.fromEntries(
      services.map((service) => [service, `http://127.0.0.1:${ports.http[service]}/metrics`]),
    ),
    creds: deployment.creds,
    config: configFile,
    log: { origin: logOrigin, dir: join(deployment.home, 'evidence', 'log'), vkey: deployment.keys.logVerifierKey },
    ...(witness && { witness }),
  });
  writePrivate(statusFile(deployment.home), `${JSON.stringify(status, null, 2)}\n`);
  return status;
};

/** A call that the example configuration allows. */
const exampleCall = (root: string, isExample: boolean): string | undefined =>
  isExample ? `call filesystem/list_directory ${quoted(`path=${join(root, 'sandbox')}`)}` : undefined;
