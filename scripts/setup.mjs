// npm run setup [-- --with-opa]: installs what is missing, and nothing else.
import { runMain, setUp } from './setup/main.mjs';

process.exitCode = await runMain(async (context) => {
  await setUp(context, { withOpa: process.argv.includes('--with-opa') });
  return 0;
});
