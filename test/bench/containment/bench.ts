import { fileURLToPath } from 'node:url';
import { readSuites, type Suites } from './data.ts';
import { type Gate, startGate } from './gate.ts';
import { configuredLabels, didHarm } from './harm.ts';
import { replaysOf } from './replay.ts';
import { printReport, type Report, reportOf } from './report.ts';
import { freshAgents, runAll, spareFor, standingAgents } from './run.ts';
import { type Harm, type Score, scoreOf } from './score.ts';
import {
  type Control,
  controls,
  gateOfControls,
  gateUnderTest,
  namesOf,
  readSettings,
  type Settings,
} from './settings.ts';

export interface ContainmentOptions {
  data: string;
  /** In the form of agentgate.yaml; without it, what this folder says of the recorded suites. */
  config?: string | undefined;
  json: boolean;
  verbose: boolean;
}

const ownConfig = fileURLToPath(new URL('suites.yaml', import.meta.url));
const controlAgents = 16;

/** `npm run bench -- containment --data FILE [--config FILE] [--json] [--verbose]`: recorded hijacks through the running gate. */
export const benchContainment = async (options: ContainmentOptions): Promise<boolean> => {
  const tell = createTeller(options.json);
  try {
    if (options.data === '') throw new Error('say which recorded calls to replay: --data FILE');
    const report = await measure(readSuites(options.data), readSettings(options.config ?? ownConfig), tell);
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    else printReport(report, options.verbose);
    return true;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    return false;
  }
};

/** Throws where the gate did not decide, or decided one thing and did another. */
export const measure = async (
  suites: Suites,
  settings: Settings,
  tell: (line: string) => void = () => {},
): Promise<Report> => {
  const replays = replaysOf(suites);
  const tested = gateUnderTest(suites, settings, replays.length + spareFor(replays.length));
  tell(`${replays.length} replays, each by an agent of its own`);
  const outcomes = await withGate({ config: tested, suites }, (gate) =>
    runAll(gate, { suites, replays, crew: freshAgents(gate, namesOf(tested, 'gate')), tell }),
  );

  const harm: Harm = ({ tool, args }) =>
    didHarm({ tool: tool.slice(tool.indexOf('/') + 1), args }, configuredLabels(settings.tools, tool));
  const controlConfig = gateOfControls(suites, settings, controlAgents);
  tell(`the same under grants alone: ${controls.join(', ')}`);
  const compared = await withGate({ config: controlConfig, suites }, async (gate) => {
    const score = async (control: Control): Promise<[Control, Score]> => {
      const crew = standingAgents(gate, namesOf(controlConfig, control));
      return [control, scoreOf(await runAll(gate, { suites, replays, crew, tell }), harm)];
    };
    return Object.fromEntries(await Promise.all(controls.map(score))) as Record<Control, Score>;
  });
  return reportOf(outcomes, scoreOf(outcomes, harm), { controls: compared, harm });
};

const createTeller = (quiet: boolean) => {
  const begun = performance.now();
  return (line: string): void => {
    if (!quiet) process.stderr.write(`${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s  ${line}\n`);
  };
};

const withGate = async <T>(opts: Parameters<typeof startGate>[0], use: (gate: Gate) => Promise<T>): Promise<T> => {
  const gate = await startGate(opts);
  try {
    return await use(gate);
  } catch (error) {
    throw new Error(`the replay failed: ${error instanceof Error ? error.message : error}\n${gate.output()}`, {
      cause: error,
    });
  } finally {
    await gate.stop();
  }
};
