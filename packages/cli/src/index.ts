export { type CliContext, CliError } from './context.ts';
export { connectAs, readStatus } from './stack.ts';
