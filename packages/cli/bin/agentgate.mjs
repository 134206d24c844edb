#!/usr/bin/env node
// Plain JavaScript: it must run on whatever Node is first on PATH, and goes on with the checkout's own where that one is too old for TypeScript.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const runsTypeScript = major > 22 || (major === 22 && minor >= 18);

if (runsTypeScript) {
  module.enableCompileCache?.(fileURLToPath(new URL('../../../.agentgate/compile-cache', import.meta.url)));
  await import('../src/main.ts');
} else {
  const node = fileURLToPath(new URL('../../../node_modules/node/bin/node', import.meta.url));
  if (!existsSync(node)) {
    console.error('agentgate: needs Node 22.18 or newer; npm start installs one into this folder');
    process.exit(1);
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  // Ctrl-C reaches the child by itself; a signal to this process alone is passed on after a moment. Two are as good as one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => setTimeout(() => child.kill(signal), 300));
  child.on('error', (error) => {
    console.error(`agentgate: ${node} does not start: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
