import { askHistory } from '../commands/policy.ts';
import type { CliContext } from '../context.ts';

/** Where a pushed policy is active, what agentgate.yaml says of grants does nothing: nobody should have to find that out. */
export const tellPushedPolicy = async (ctx: CliContext): Promise<void> => {
  const { active, activations } = await askHistory(ctx);
  if (active.version === 0) return;
  const by = activations.find(({ epoch }) => epoch === active.epoch)?.by ?? 'somebody';
  ctx.err(
    `policy version ${active.version}, activated by ${by}, decides: grants, tools and policy of the configuration do nothing until "agentgate policy rollback --to config --reason …", or until they are built, pushed and activated`,
  );
};
