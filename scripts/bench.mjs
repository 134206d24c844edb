// npm run bench -- ARGS: the set-up, then the benchmark on Node 26.
import { join } from 'node:path';
import { foreground } from './setup/foreground.mjs';
import { runMain, setUp } from './setup/main.mjs';

process.exitCode = await runMain(async (context, { release }) => {
  await setUp(context);
  release();
  return foreground(context, [join(context.root, 'test', 'bench', 'main.ts'), ...process.argv.slice(2)]);
});
