import { createProgram } from './program.ts';

// Whoever reads may be gone, as `head` is after its ten lines: then nobody is told, and the work goes on.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  if (code !== 'EPIPE') process.exitCode = 1;
});
await createProgram().parseAsync();
