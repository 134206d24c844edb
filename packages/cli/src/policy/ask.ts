import { type OperatorVerb, operatorSubject, operatorVerbs } from '@agentgate/contracts';
import type { z } from 'zod';
import { visible } from '../commands/approvals.ts';
import { type CliContext, CliError } from '../context.ts';
import { withUser } from '../stack.ts';

type Answer<V extends OperatorVerb> = Exclude<z.infer<(typeof operatorVerbs)[V]['answer']>, { code: string }>;

/** Says something as a person; throws CliError for a refusal. */
export const askAs = async <V extends OperatorVerb>(
  ctx: CliContext,
  as: string,
  verb: V,
  body: z.input<(typeof operatorVerbs)[V]['ask']>,
): Promise<Answer<V>> =>
  withUser(ctx.home, as, async (bus) => {
    const answer: object = await bus.ask(operatorVerbs[verb] as never, body as never, {
      subject: operatorSubject(as, verb),
    });
    const refused = answer as { code?: string; reason?: string };
    if (refused.code !== undefined) throw new CliError(visible(`${refused.code}: ${refused.reason}`));
    return answer as Answer<V>;
  });
