// npm start -- FLAGS: the set-up, then `agentgate up FLAGS` in the foreground.
import { join } from 'node:path';
import { foreground } from './setup/foreground.mjs';
import { runMain, setUp } from './setup/main.mjs';

process.exitCode = await runMain(async (context, { release }) => {
  await setUp(context);
  release();
  const command = join(context.root, 'packages', 'cli', 'bin', 'agentgate.mjs');
  return foreground(context, [command, 'up', ...process.argv.slice(2)]);
});
