import { connectBus } from '@agentgate/bus';
import { agentSubject, agentVerbs } from '@agentgate/contracts';
import { type Deployment, GroundError, mintProbe, probeAgent } from '@agentgate/ground';

const tool = 'agentgate/probe';

/**
 * One real call through the whole gate by an agent that nobody granted anything: it must be denied, and the denial must be in
 * evidence. A kill that still stands from before counts as well: the gate answers, and answers no.
 */
export const probe = async (deployment: Deployment): Promise<void> => {
  const bus = await connectBus({
    servers: deployment.natsUrl,
    creds: await mintProbe(deployment.seeds),
    user: probeAgent,
    instance: 'up',
  });
  try {
    const opened = await bus.ask(
      agentVerbs.session,
      { v: 1, purpose: 'does the gate answer' },
      { subject: agentSubject(probeAgent, 'session') },
    );
    if ('status' in opened && opened.status === 'killed') return;
    if (!('session' in opened)) throw new GroundError(`the probe got no session: ${opened.code} ${opened.reason}`);
    const reply = await bus.ask(
      agentVerbs.call,
      { v: 1, session: opened.session, tool, arguments: {} },
      { subject: agentSubject(probeAgent, 'call'), timeoutMs: 10_000 },
    );
    const isNo =
      reply.status === 'killed' ||
      (reply.status === 'denied' && (reply.code === 'UNKNOWN_TOOL' || reply.code === 'NO_GRANT'));
    if (!isNo) throw new GroundError(`the probe call ended with ${reply.status} ${reply.code}: ${reply.reason}`);
    if (reply.evidence?.decided === undefined) throw new GroundError('the probe call was denied without evidence');
  } finally {
    await bus.close();
  }
};
