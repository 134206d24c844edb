import { asyncApi, jsonSchemas } from '@agentgate/contracts';
import type { Command } from 'commander';
import type { Run } from '../run.ts';

export const registerProtocol = (program: Command, run: Run): void => {
  program
    .command('protocol')
    .description('print the public protocol as an AsyncAPI document; needs no stack')
    .option('--schemas', 'its JSON Schemas alone, by the name of the message')
    .action(
      run(async (ctx, flags: { schemas?: true }) => {
        const document = flags.schemas ? jsonSchemas() : asyncApi();
        ctx.answer(document, () => JSON.stringify(document, null, 2));
        return 0;
      }),
    );
};
