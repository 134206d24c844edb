import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const welcome = `Welcome to the sandbox.

The filesystem server of agentgate.yaml works in this folder, and the grant there lets agent demo read and write here.
Anything outside of it is denied, with the rule and the argument that broke it.
`;

/** The folder that the example configuration lets the demo agent work in. */
export const laySandbox = (root: string): void => {
  const folder = join(root, 'sandbox');
  if (existsSync(folder)) return;
  mkdirSync(folder);
  writeFileSync(join(folder, 'welcome.txt'), welcome);
};
