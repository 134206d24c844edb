import { Command } from 'commander';
import { registerAgent } from './commands/agent.ts';
import { registerAlerts } from './commands/alerts.ts';
import { registerApprovals } from './commands/approvals.ts';
import { registerCall, registerSession } from './commands/call.ts';
import { registerCredentials } from './commands/credentials.ts';
import { registerDemo } from './commands/demo.ts';
import { registerGround } from './commands/ground.ts';
import { registerIncidents } from './commands/incidents.ts';
import { registerKill, registerKills, registerLift } from './commands/kill.ts';
import { registerLeases } from './commands/leases.ts';
import { registerPanic } from './commands/panic.ts';
import { registerPolicy } from './commands/policy.ts';
import { registerProtocol } from './commands/protocol.ts';
import { registerStatus } from './commands/status.ts';
import { registerTools } from './commands/tools.ts';
import { registerWitness } from './commands/witness.ts';
import { createContext } from './context.ts';
import { registerEvidence } from './evidence/index.ts';
import { runIn } from './run.ts';
import { registerUp } from './up/command.ts';
import { tellUsageIn } from './usage.ts';

/** The `agentgate` command with everything under it. */
export const createProgram = (contextOf = createContext): Command => {
  const program = new Command('agentgate')
    .description('AgentGate: every tool call of an agent decided, permitted, in evidence, and stoppable')
    .version('0.1.0')
    .option(
      '--home <dir>',
      'where the stack keeps its state (default: $AGENTGATE_HOME, else .agentgate of the checkout)',
    )
    .option('--json', 'answer in JSON')
    .showHelpAfterError('(agentgate --help tells more)');
  tellUsageIn(program, contextOf);
  const run = runIn(program, contextOf);
  for (const register of [
    registerUp,
    registerStatus,
    registerDemo,
    registerCall,
    registerSession,
    registerKill,
    registerLift,
    registerKills,
    registerPanic,
    registerIncidents,
    registerApprovals,
    registerLeases,
    registerTools,
    registerCredentials,
    registerAlerts,
    registerPolicy,
    registerAgent,
    registerEvidence,
    registerWitness,
    registerGround,
    registerProtocol,
  ])
    register(program, run);
  return program;
};
